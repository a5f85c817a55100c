package runtime

import (
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestContainerFilterNeedsEveryField(t *testing.T) {
	running := &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}
	exited := &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_EXITED}
	c := &cri.Container{Id: "abcdef", PodSandboxId: "pod", Labels: map[string]string{"a": "1", "b": ""},
		State: cri.ContainerState_CONTAINER_RUNNING}
	cases := []struct {
		name   string
		filter *cri.ContainerFilter
		want   bool
	}{
		{"none", nil, true},
		{"empty", &cri.ContainerFilter{}, true},
		{"beginning of the id", &cri.ContainerFilter{Id: "abc"}, true},
		{"middle of the id", &cri.ContainerFilter{Id: "bcd"}, false},
		{"state", &cri.ContainerFilter{State: running}, true},
		{"other state", &cri.ContainerFilter{State: exited}, false},
		{"other pod", &cri.ContainerFilter{PodSandboxId: "po"}, false},
		{"label", &cri.ContainerFilter{LabelSelector: map[string]string{"a": "1", "b": ""}}, true},
		{"absent label", &cri.ContainerFilter{LabelSelector: map[string]string{"c": ""}}, false},
		{"id right, label wrong",
			&cri.ContainerFilter{Id: "abcdef", LabelSelector: map[string]string{"a": "2"}}, false},
	}
	for _, x := range cases {
		if got := matchesContainer(x.filter, c); got != x.want {
			t.Errorf("%s: %v", x.name, got)
		}
	}
}

func TestSandboxFilterNeedsEveryField(t *testing.T) {
	s := &cri.PodSandbox{Id: "abc", State: cri.PodSandboxState_SANDBOX_NOTREADY}
	ready := &cri.PodSandboxStateValue{State: cri.PodSandboxState_SANDBOX_READY}
	if matchesSandbox(&cri.PodSandboxFilter{State: ready}, s) {
		t.Error("a stopped sandbox is not ready")
	}
	if !matchesSandboxStats(&cri.PodSandboxStatsFilter{Id: "abc"}, s) {
		t.Error("the identifier is right")
	}
}
