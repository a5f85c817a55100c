// CRI's filters: pure decisions.

package runtime

import (
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// matchesLabels says whether labels have every pair of selector.
func matchesLabels(selector, labels map[string]string) bool {
	for key, value := range selector {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// matchesID accepts a whole identifier or, as CRI allows, its beginning.
func matchesID(wanted, id string) bool { return strings.HasPrefix(id, wanted) }

func matchesSandbox(f *cri.PodSandboxFilter, s *cri.PodSandbox) bool {
	return f == nil || matchesID(f.Id, s.Id) && (f.State == nil || f.State.State == s.State) &&
		matchesLabels(f.LabelSelector, s.Labels)
}

func matchesContainer(f *cri.ContainerFilter, c *cri.Container) bool {
	return f == nil || matchesID(f.Id, c.Id) && (f.State == nil || f.State.State == c.State) &&
		(f.PodSandboxId == "" || f.PodSandboxId == c.PodSandboxId) &&
		matchesLabels(f.LabelSelector, c.Labels)
}

func matchesContainerStats(f *cri.ContainerStatsFilter, c *cri.Container) bool {
	return f == nil || matchesContainer(&cri.ContainerFilter{Id: f.Id, PodSandboxId: f.PodSandboxId,
		LabelSelector: f.LabelSelector}, c)
}

func matchesSandboxStats(f *cri.PodSandboxStatsFilter, s *cri.PodSandbox) bool {
	return f == nil || matchesSandbox(&cri.PodSandboxFilter{Id: f.Id,
		LabelSelector: f.LabelSelector}, s)
}
