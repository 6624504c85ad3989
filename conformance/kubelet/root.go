package kubelet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// BecomePod is the first argument of the kubelet's own program when it is to turn into a pod.
const BecomePod = "become-pod"

// rootFS describes the file system and the process of a pod: a temporary root with the host's
// /usr, in place of an image.
type rootFS struct {
	Path     string
	Hostname string
	Argv     []string
	Env      []string
	// Shown are host files, read-only, by path in the pod.
	Shown map[string]string
	// Mounts are host directories, writable, by path in the pod.
	Mounts map[string]string
	// Written are files with the given content.
	Written map[string]string
}

// etcFiles is the name resolution of the pod: the hosts the cluster names, and the kubelet's DNS server.
func (p *pod) etcFiles() map[string]string {
	hosts := append([]string{"127.0.0.1 localhost", p.network.address + " " + p.object.Name}, p.kubelet.Config.Hosts...)
	return map[string]string{
		"/etc/hosts": strings.Join(hosts, "\n") + "\n",
		"/etc/resolv.conf": fmt.Sprintf("search %s.svc.cluster.local svc.cluster.local cluster.local\nnameserver %s\noptions ndots:5 timeout:1\n",
			p.object.Namespace, NodeIP),
		"/etc/passwd":        "root:x:0:0:root:/root:/bin/sh\n",
		"/etc/nsswitch.conf": "hosts: files dns\n",
	}
}

// Become builds the root described in file and replaces this process by the pod's program. It is
// called inside the pod's namespaces and returns only if it fails.
func Become(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	root := &rootFS{}
	if err := json.Unmarshal(data, root); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(root.Hostname)); err != nil {
		return err
	}
	if err := root.build(); err != nil {
		return err
	}
	if err := syscall.Chroot(root.Path); err != nil {
		return err
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", root.Argv[0], syscall.Exec(root.Argv[0], root.Argv, root.Env))
}

func (r *rootFS) build() error {
	if err := r.temporary(""); err != nil {
		return err
	}
	for _, directory := range []string{"tmp", "var/run", "var/lib", "var/log", "etc", "root", "run"} {
		if err := os.MkdirAll(filepath.Join(r.Path, directory), 0o755); err != nil {
			return err
		}
	}
	if err := r.system(); err != nil {
		return err
	}
	for target, source := range r.Shown {
		if err := r.bind(target, source, true); err != nil {
			return err
		}
	}
	// Parents before what is mounted inside them.
	var targets []string
	for target := range r.Mounts {
		targets = append(targets, target)
	}
	sort.Strings(targets)
	for _, target := range targets {
		if err := r.bind(target, r.Mounts[target], false); err != nil {
			return err
		}
	}
	for target, content := range r.Written {
		if err := os.WriteFile(filepath.Join(r.Path, target), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// system shows the host's libraries and devices, with an empty /usr/local for the pod's programs.
func (r *rootFS) system() error {
	for _, directory := range []string{"/bin", "/lib", "/lib64", "/sbin"} {
		if link, err := os.Readlink(directory); err == nil {
			if err := os.Symlink(link, filepath.Join(r.Path, directory)); err != nil {
				return err
			}
		} else if err := r.bindIfThere(directory, true); err != nil {
			return err
		}
	}
	if err := r.bindIfThere("/usr", true); err != nil {
		return err
	}
	if err := r.temporary("/usr/local"); err != nil {
		return err
	}
	if err := r.bindIfThere("/etc/ssl", true); err != nil {
		return err
	}
	for _, directory := range []string{"/dev", "/proc"} {
		if err := r.bindIfThere(directory, false); err != nil {
			return err
		}
	}
	return nil
}

func (r *rootFS) temporary(target string) error {
	path := filepath.Join(r.Path, target)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func (r *rootFS) bindIfThere(path string, readOnly bool) error {
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return r.bind(path, path, readOnly)
}

func (r *rootFS) bind(target, source string, readOnly bool) error {
	path := filepath.Join(r.Path, target)
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(path, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(path, os.O_CREATE, 0o755); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := syscall.Mount(source, path, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source, path, err)
	}
	if readOnly {
		flags := uintptr(syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY)
		if err := syscall.Mount("", path, "", flags, ""); err != nil {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	return nil
}
