package kubelet

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// memoryLimit is what a container without a memory limit is told that it has.
const memoryLimit = 1 << 30

var (
	reference       = regexp.MustCompile(`\$\(([A-Za-z0-9_]+)\)`)
	metadataElement = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.*)'\]$`)
)

// environment is a container's variables, in order of first definition.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, known := e.values[name]; !known {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

// expand replaces $(NAME) by the variable's value; unknown names stay, as in Kubernetes.
func (e *environment) expand(text string) string {
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		if value, known := e.values[match[2:len(match)-1]]; known {
			return value
		}
		return match
	})
}

func (e *environment) list() []string {
	var list []string
	for _, name := range e.names {
		list = append(list, name+"="+e.values[name])
	}
	return list
}

func (p *pod) environment(ctx context.Context) (*environment, error) {
	e := &environment{values: map[string]string{}}
	e.set("PATH", "/usr/local/bin:/usr/bin:/bin")
	e.set("HOSTNAME", p.object.Name)
	for _, variable := range p.container().Env {
		value := e.expand(variable.Value)
		if variable.ValueFrom != nil {
			var err error
			if value, err = p.valueFrom(ctx, variable.ValueFrom); err != nil {
				return nil, fmt.Errorf("%s: %w", variable.Name, err)
			}
		}
		e.set(variable.Name, value)
	}
	return e, nil
}

func (p *pod) valueFrom(ctx context.Context, source *corev1.EnvVarSource) (string, error) {
	core := p.kubelet.Client.CoreV1()
	switch {
	case source.FieldRef != nil:
		return p.field(source.FieldRef.FieldPath), nil
	case source.ResourceFieldRef != nil:
		if strings.HasSuffix(source.ResourceFieldRef.Resource, ".cpu") {
			return fmt.Sprint(runtime.NumCPU()), nil
		}
		return fmt.Sprint(memoryLimit), nil
	case source.ConfigMapKeyRef != nil:
		object, err := core.ConfigMaps(p.object.Namespace).Get(ctx, source.ConfigMapKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return object.Data[source.ConfigMapKeyRef.Key], nil
	case source.SecretKeyRef != nil:
		object, err := core.Secrets(p.object.Namespace).Get(ctx, source.SecretKeyRef.Name, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return string(object.Data[source.SecretKeyRef.Key]), nil
	}
	return "", nil
}

// field is the downward API: one field of the pod as text.
func (p *pod) field(path string) string {
	if match := metadataElement.FindStringSubmatch(path); match != nil {
		if match[1] == "labels" {
			return p.object.Labels[match[2]]
		}
		return p.object.Annotations[match[2]]
	}
	switch path {
	case "metadata.name":
		return p.object.Name
	case "metadata.namespace":
		return p.object.Namespace
	case "metadata.uid":
		return string(p.object.UID)
	case "metadata.labels":
		return propertyLines(p.object.Labels)
	case "metadata.annotations":
		return propertyLines(p.object.Annotations)
	case "spec.nodeName":
		return NodeName
	case "spec.serviceAccountName":
		return p.object.Spec.ServiceAccountName
	case "status.podIP", "status.podIPs":
		return p.network.address
	case "status.hostIP", "status.hostIPs":
		return NodeIP
	}
	return ""
}

func propertyLines(properties map[string]string) string {
	var lines []string
	for key, value := range properties {
		lines = append(lines, fmt.Sprintf("%s=%q", key, value))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
