// From CRI's configuration to what a container's first process needs: pure decisions.

package runtime

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"controlplane.sluice.dev/contain"
)

// GPUAnnotation, on a container, holds the numbers of the GPUs that it was given, with commas.
const GPUAnnotation = "sluice.dev/gpus"

// imageUser is who a container runs as when its pod does not say: the user of distroless images.
const imageUser = 65532

// specOf translates a container's configuration into what its first process needs.
func (r *Runtime) specOf(
	id string, config *cri.ContainerConfig, pod *cri.PodSandboxConfig,
) (*contain.Spec, user, error) {
	security := config.GetLinux().GetSecurityContext()
	if err := supportedContainer(config); err != nil {
		return nil, user{}, err
	}
	capabilities, err := contain.Capabilities(security.GetCapabilities().GetAddCapabilities(),
		security.GetCapabilities().GetDropCapabilities(), security.GetPrivileged())
	if err != nil {
		return nil, user{}, err
	}
	spec := &contain.Spec{
		Root:     filepath.Join(r.folder(id), "root"),
		Hostname: pod.GetHostname(),
		Argv:     append(append([]string{}, config.Command...), config.Args...),
		Env:      environment(r.config.Env, pod.GetHostname(), config),
		Dir:      config.WorkingDir,
		Keep:     r.config.Keep, Hide: []string{r.config.NodeDir},
		ReadOnlyRoot: security.GetReadonlyRootfs(),
		Capabilities: capabilities, NoNewPrivileges: security.GetNoNewPrivs(),
		Files: map[string]string{"/etc/resolv.conf": resolvConf(pod.GetDnsConfig())},
	}
	for _, m := range config.Mounts {
		spec.Mounts = append(spec.Mounts, contain.Mount{
			Source: m.HostPath, Target: m.ContainerPath, ReadOnly: m.Readonly})
	}
	for _, device := range config.Devices {
		spec.Devices = append(spec.Devices, device.HostPath)
	}
	if config.Annotations[GPUAnnotation] != "" || security.GetPrivileged() {
		spec.Devices = append(spec.Devices, r.config.GPUDevices...)
	}
	return spec, userOf(security), nil
}

func supportedContainer(config *cri.ContainerConfig) error {
	switch config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetPid() {
	case cri.NamespaceMode_POD:
		// The zero value too, when there is no security context at all.
		if config.GetLinux().GetSecurityContext().GetNamespaceOptions() != nil {
			return errors.New("shareProcessNamespace: the process node gives every container " +
				"processes of its own")
		}
	case cri.NamespaceMode_TARGET:
		return errors.New("a debug container that looks into another's processes needs a node " +
			"with a real container runtime; use kubectl exec")
	}
	for _, m := range config.Mounts {
		if m.GetImage().GetImage() != "" {
			return fmt.Errorf("the image volume at %s: the process node has no images", m.ContainerPath)
		}
	}
	return nil
}

func userOf(security *cri.LinuxContainerSecurityContext) user {
	who := user{uid: imageUser}
	if security.GetRunAsUser() != nil {
		who.uid = int(security.RunAsUser.Value)
	}
	if security.GetRunAsGroup() != nil {
		who.gid = int(security.RunAsGroup.Value)
	}
	return who
}

// environment is what the container's command sees, one entry for each name: the node's base,
// then what the pod says, and last what the node decides.
func environment(base []string, hostname string, config *cri.ContainerConfig) []string {
	var env []string
	position := map[string]int{}
	set := func(name, value string) {
		if at, ok := position[name]; ok {
			env[at] = name + "=" + value
			return
		}
		position[name] = len(env)
		env = append(env, name+"="+value)
	}
	for _, entry := range base {
		name, value, _ := strings.Cut(entry, "=")
		set(name, value)
	}
	if hostname != "" {
		set("HOSTNAME", hostname)
	}
	for _, entry := range config.Envs {
		set(entry.Key, string(entry.Value))
	}
	if config.GetTty() {
		set("TERM", "xterm")
	}
	// A pod cannot help itself to a GPU: what counts is what the kubelet was told to give it.
	gpus := config.Annotations[GPUAnnotation]
	set("CUDA_VISIBLE_DEVICES", gpus)
	if gpus == "" {
		gpus = "void"
	} else {
		set("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
	}
	set("NVIDIA_VISIBLE_DEVICES", gpus)
	return env
}

// resolvConf never falls back to the host's: no name server outside can be reached.
func resolvConf(dns *cri.DNSConfig) string {
	var text strings.Builder
	for _, server := range dns.GetServers() {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	if len(dns.GetSearches()) > 0 {
		fmt.Fprintf(&text, "search %s\n", strings.Join(dns.Searches, " "))
	}
	if len(dns.GetOptions()) > 0 {
		fmt.Fprintf(&text, "options %s\n", strings.Join(dns.Options, " "))
	}
	return text.String()
}
