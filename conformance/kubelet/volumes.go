package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mounts writes the pod's volumes to disk and returns the host directory of each mount path. They
// are written once for each start of the program.
func (p *pod) mounts(ctx context.Context) (map[string]string, error) {
	directories := map[string]string{}
	for _, volume := range p.object.Spec.Volumes {
		directory := filepath.Join(p.dir, "volumes", volume.Name)
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return nil, err
		}
		if err := p.writeVolume(ctx, &volume, directory); err != nil {
			return nil, fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		directories[volume.Name] = directory
	}
	mounts := map[string]string{}
	for _, mount := range p.container().VolumeMounts {
		mounts[mount.MountPath] = filepath.Join(directories[mount.Name], mount.SubPath)
	}
	return mounts, nil
}

func (p *pod) writeVolume(ctx context.Context, volume *corev1.Volume, directory string) error {
	switch {
	case volume.ConfigMap != nil:
		return p.writeConfigMap(ctx, directory, volume.ConfigMap.Name, volume.ConfigMap.Items, volume.ConfigMap.Optional)
	case volume.Secret != nil:
		return p.writeSecret(ctx, directory, volume.Secret.SecretName, volume.Secret.Items, volume.Secret.Optional)
	case volume.DownwardAPI != nil:
		return p.writeDownward(directory, volume.DownwardAPI.Items)
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			if err := p.writeProjection(ctx, directory, &source); err != nil {
				return err
			}
		}
	}
	return nil // emptyDir and the rest: an empty directory
}

func (p *pod) writeProjection(ctx context.Context, directory string, source *corev1.VolumeProjection) error {
	switch {
	case source.ServiceAccountToken != nil:
		return p.writeToken(ctx, directory, source.ServiceAccountToken)
	case source.ConfigMap != nil:
		return p.writeConfigMap(ctx, directory, source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional)
	case source.Secret != nil:
		return p.writeSecret(ctx, directory, source.Secret.Name, source.Secret.Items, source.Secret.Optional)
	case source.DownwardAPI != nil:
		return p.writeDownward(directory, source.DownwardAPI.Items)
	}
	return nil
}

// writeToken asks the API server for a token bound to this pod.
func (p *pod) writeToken(ctx context.Context, directory string, source *corev1.ServiceAccountTokenProjection) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: source.ExpirationSeconds,
		BoundObjectRef: &authenticationv1.BoundObjectReference{
			Kind: "Pod", APIVersion: "v1", Name: p.object.Name, UID: p.object.UID,
		},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	token, err := p.kubelet.Client.CoreV1().ServiceAccounts(p.object.Namespace).
		CreateToken(ctx, p.object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return writeFile(directory, source.Path, []byte(token.Status.Token))
}

func (p *pod) writeConfigMap(ctx context.Context, directory, name string, items []corev1.KeyToPath, optional *bool) error {
	object, err := p.kubelet.Client.CoreV1().ConfigMaps(p.object.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return unlessOptional(err, optional)
	}
	data := map[string][]byte{}
	for key, value := range object.Data {
		data[key] = []byte(value)
	}
	for key, value := range object.BinaryData {
		data[key] = value
	}
	return writeKeys(directory, items, data)
}

func (p *pod) writeSecret(ctx context.Context, directory, name string, items []corev1.KeyToPath, optional *bool) error {
	object, err := p.kubelet.Client.CoreV1().Secrets(p.object.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return unlessOptional(err, optional)
	}
	return writeKeys(directory, items, object.Data)
}

func (p *pod) writeDownward(directory string, items []corev1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		if item.FieldRef == nil {
			continue
		}
		if err := writeFile(directory, item.Path, []byte(p.field(item.FieldRef.FieldPath))); err != nil {
			return err
		}
	}
	return nil
}

func unlessOptional(err error, optional *bool) error {
	if optional != nil && *optional && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// writeKeys writes the named keys, or all of them when no items are given.
func writeKeys(directory string, items []corev1.KeyToPath, data map[string][]byte) error {
	if len(items) == 0 {
		for key := range data {
			items = append(items, corev1.KeyToPath{Key: key, Path: key})
		}
	}
	for _, item := range items {
		if err := writeFile(directory, item.Path, data[item.Key]); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(directory, name string, data []byte) error {
	path := filepath.Join(directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
