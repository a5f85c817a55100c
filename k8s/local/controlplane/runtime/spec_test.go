package runtime

import (
	"slices"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestEnvironmentHasEachNameOnceAndThePodWins(t *testing.T) {
	config := &cri.ContainerConfig{Envs: []*cri.KeyValue{
		{Key: "HOME", Value: []byte("/data")}, {Key: "A", Value: []byte("1=2")},
		{Key: "CUDA_VISIBLE_DEVICES", Value: []byte("0,1,2")}}}
	env := environment([]string{"PATH=/bin", "HOME=/tmp"}, "web-0", config)
	want := []string{"PATH=/bin", "HOME=/data", "HOSTNAME=web-0", "A=1=2", "CUDA_VISIBLE_DEVICES=",
		"NVIDIA_VISIBLE_DEVICES=void"}
	if !slices.Equal(env, want) {
		t.Errorf("got %q", env)
	}
}

func TestEnvironmentShowsTheGivenGPUs(t *testing.T) {
	config := &cri.ContainerConfig{Annotations: map[string]string{GPUAnnotation: "1,3"}}
	env := environment(nil, "", config)
	for _, want := range []string{"CUDA_VISIBLE_DEVICES=1,3", "NVIDIA_VISIBLE_DEVICES=1,3"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
}

func TestSpecHonoursTheSecurityContext(t *testing.T) {
	r := &Runtime{config: Config{Dir: "/d", NodeDir: "/n", GPUDevices: []string{"/dev/nvidia0"}}}
	config := &cri.ContainerConfig{
		Command: []string{"serve"}, Args: []string{"--x"},
		Mounts: []*cri.Mount{{HostPath: "/h", ContainerPath: "/c", Readonly: true}},
		Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
			RunAsUser: &cri.Int64Value{Value: 1000}, RunAsGroup: &cri.Int64Value{Value: 2000},
			ReadonlyRootfs: true, NoNewPrivs: true,
			Capabilities:     &cri.Capability{DropCapabilities: []string{"ALL"}},
			NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}}},
	}
	pod := &cri.PodSandboxConfig{Hostname: "web-0", DnsConfig: &cri.DNSConfig{
		Servers: []string{"10.96.0.10"}, Searches: []string{"a", "b"}, Options: []string{"ndots:5"}}}
	spec, who, err := r.specOf(newID(), config, pod)
	if err != nil {
		t.Fatal(err)
	}
	if who != (user{1000, 2000}) || !spec.ReadOnlyRoot || !spec.NoNewPrivileges ||
		len(spec.Capabilities) != 0 || strings.Join(spec.Argv, " ") != "serve --x" {
		t.Errorf("%+v %+v", who, spec)
	}
	if len(spec.Mounts) != 1 || !spec.Mounts[0].ReadOnly || spec.Mounts[0].Source != "/h" {
		t.Errorf("%+v", spec.Mounts)
	}
	if len(spec.Devices) != 0 {
		t.Errorf("no GPU was given, but %q", spec.Devices)
	}
	if got := spec.Files["/etc/resolv.conf"]; got != "nameserver 10.96.0.10\nsearch a b\noptions ndots:5\n" {
		t.Errorf("%q", got)
	}
}

func TestSpecRefusesWhatItCannotDo(t *testing.T) {
	r := &Runtime{}
	namespaces := func(mode cri.NamespaceMode) *cri.ContainerConfig {
		return &cri.ContainerConfig{Linux: &cri.LinuxContainerConfig{
			SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Pid: mode}}}}
	}
	for _, config := range []*cri.ContainerConfig{
		namespaces(cri.NamespaceMode_POD), namespaces(cri.NamespaceMode_TARGET),
		{Mounts: []*cri.Mount{{ContainerPath: "/m", Image: &cri.ImageSpec{Image: "x"}}}},
	} {
		if _, _, err := r.specOf(newID(), config, &cri.PodSandboxConfig{}); err == nil {
			t.Errorf("%v must be refused", config)
		}
	}
	if err := supported(&cri.PodSandboxConfig{
		PortMappings: []*cri.PortMapping{{HostPort: 80}}}, ""); err == nil {
		t.Error("hostPort must be refused")
	}
	if err := supported(&cri.PodSandboxConfig{}, "gvisor"); err == nil {
		t.Error("a runtime handler must be refused")
	}
}
