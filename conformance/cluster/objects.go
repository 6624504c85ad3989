package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// fieldManager is the name under which objects are applied.
const fieldManager = "selvedge-conformance"

// ParseObjects reads a stream of YAML documents; empty documents are skipped.
func ParseObjects(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetKind() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("document without kind or metadata.name: %.80s", bytes.TrimSpace(document))
		}
		objects = append(objects, object)
	}
}

// Apply creates or updates the objects in the given order (server-side apply). An object without a
// namespace whose kind needs one goes to the default namespace. Each object gets the time of its
// creation. It waits, up to limit, for kinds and webhooks that are about to appear.
func (c *Clients) Apply(ctx context.Context, objects []*unstructured.Unstructured, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for _, object := range objects {
		for {
			err := c.applyOne(ctx, object)
			if err == nil {
				break
			}
			if !mayPass(err) || time.Now().After(deadline) {
				return fmt.Errorf("%s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
			}
			c.mapper.Reset()
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

// mayPass tells errors of a cluster that is still starting from those of a wrong object.
func mayPass(err error) bool {
	return meta.IsNoMatchError(err) || apierrors.IsInternalError(err) || apierrors.IsNotFound(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err)
}

func (c *Clients) applyOne(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := c.resource(object)
	if err != nil {
		return err
	}
	applied, err := resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err == nil {
		object.SetCreationTimestamp(applied.GetCreationTimestamp())
	}
	return err
}

// DryRun asks what would become of an object if it were applied: the API server and its webhooks look at it, and nothing is kept.
func (c *Clients) DryRun(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, err := c.resource(object)
	if err != nil {
		return nil, err
	}
	options := metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: []string{metav1.DryRunAll}}
	return resource.Apply(ctx, object.GetName(), object, options)
}

// Delete removes the objects in reverse order; those that are gone already are no error.
func (c *Clients) Delete(ctx context.Context, objects []*unstructured.Unstructured) error {
	for i := len(objects) - 1; i >= 0; i-- {
		resource, err := c.resource(objects[i])
		if err != nil {
			return err
		}
		err = resource.Delete(ctx, objects[i].GetName(), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("%s %s/%s: %w", objects[i].GetKind(), objects[i].GetNamespace(), objects[i].GetName(), err)
		}
	}
	return nil
}

func (c *Clients) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	resource := c.Dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return resource, nil
	}
	if object.GetNamespace() == "" {
		object.SetNamespace(metav1.NamespaceDefault)
	}
	return resource.Namespace(object.GetNamespace()), nil
}
