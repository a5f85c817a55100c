// What pods and containers use.

package runtime

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ticksPerSecond is the unit of times in /proc; Linux shows 100 to programs on every machine.
const ticksPerSecond = 100

// usage is what a container's processes use together.
type usage struct {
	cpu       time.Duration
	memory    uint64
	processes uint64
}

// processStat is what /proc/PID/stat says about one process and its dead children.
func processStat(stat []byte) (cpu time.Duration, resident uint64, ok bool) {
	// The name in parentheses may hold anything, so count from its end.
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 22 {
		return 0, 0, false
	}
	ticks := uint64(0)
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, 0, false
		}
		ticks += n
	}
	pages, err := strconv.ParseUint(fields[21], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, pages * uint64(os.Getpagesize()), true
}

// usageByNamespace sums up all processes that are visible here by their process namespace.
func usageByNamespace(proc string) map[string]usage {
	sums := map[string]usage{}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return sums
	}
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		// A process may end at any moment, and those of others cannot be read: both are left out.
		namespace, err := os.Readlink(filepath.Join(proc, entry.Name(), "ns/pid"))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(proc, entry.Name(), "stat"))
		if err != nil {
			continue
		}
		if cpu, resident, ok := processStat(stat); ok {
			sum := sums[namespace]
			sums[namespace] = usage{sum.cpu + cpu, sum.memory + resident, sum.processes + 1}
		}
	}
	return sums
}

// usage is zero for a container that does not run.
func (c *container) usage(sums map[string]usage) usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != cri.ContainerState_CONTAINER_RUNNING {
		return usage{}
	}
	pid := strconv.Itoa(c.process.cmd.Process.Pid)
	namespace, err := os.Readlink(filepath.Join("/proc", pid, "ns/pid"))
	if err != nil {
		return usage{} // it has just ended
	}
	return sums[namespace]
}

func (c *container) stats(used usage) *cri.ContainerStats {
	now := time.Now().UnixNano()
	return &cri.ContainerStats{
		Attributes: &cri.ContainerAttributes{Id: c.id, Metadata: c.config.Metadata,
			Labels: c.config.Labels, Annotations: c.config.Annotations},
		Cpu: cpuUsage(now, used), Memory: memoryUsage(now, used),
		WritableLayer: &cri.FilesystemUsage{Timestamp: now,
			FsId:      &cri.FilesystemIdentifier{Mountpoint: c.runtime.config.Dir},
			UsedBytes: &cri.UInt64Value{}, InodesUsed: &cri.UInt64Value{}},
	}
}

func cpuUsage(now int64, used usage) *cri.CpuUsage {
	return &cri.CpuUsage{Timestamp: now,
		UsageCoreNanoSeconds: &cri.UInt64Value{Value: uint64(used.cpu)}}
}

func memoryUsage(now int64, used usage) *cri.MemoryUsage {
	value := &cri.UInt64Value{Value: used.memory}
	return &cri.MemoryUsage{Timestamp: now, WorkingSetBytes: value, UsageBytes: value, RssBytes: value}
}

// ContainerStats implements CRI.
func (r *Runtime) ContainerStats(_ context.Context, id string) (*cri.ContainerStats, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	return c.stats(c.usage(usageByNamespace("/proc"))), nil
}

// ListContainerStats implements CRI: the containers that run.
func (r *Runtime) ListContainerStats(
	_ context.Context, filter *cri.ContainerStatsFilter,
) ([]*cri.ContainerStats, error) {
	sums := usageByNamespace("/proc")
	found := []*cri.ContainerStats{}
	for _, c := range r.containersOf("") {
		item := c.item()
		if item.State == cri.ContainerState_CONTAINER_RUNNING && matchesContainerStats(filter, item) {
			found = append(found, c.stats(c.usage(sums)))
		}
	}
	return found, nil
}

// PodSandboxStats implements CRI.
func (r *Runtime) PodSandboxStats(ctx context.Context, id string) (*cri.PodSandboxStats, error) {
	if _, err := r.sandbox(id); err != nil {
		return nil, err
	}
	all, err := r.ListPodSandboxStats(ctx, &cri.PodSandboxStatsFilter{Id: id})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, notFound("running pod sandbox", id)
	}
	return all[0], nil
}

// ListPodSandboxStats implements CRI: the sandboxes that run.
func (r *Runtime) ListPodSandboxStats(
	ctx context.Context, filter *cri.PodSandboxStatsFilter,
) ([]*cri.PodSandboxStats, error) {
	sums := usageByNamespace("/proc")
	sandboxes, err := r.ListPodSandbox(ctx, nil)
	if err != nil {
		return nil, err
	}
	found := []*cri.PodSandboxStats{}
	for _, s := range sandboxes {
		if s.State != cri.PodSandboxState_SANDBOX_READY || !matchesSandboxStats(filter, s) {
			continue
		}
		found = append(found, r.podStats(s, sums))
	}
	return found, nil
}

func (r *Runtime) podStats(s *cri.PodSandbox, sums map[string]usage) *cri.PodSandboxStats {
	now := time.Now().UnixNano()
	linux := &cri.LinuxPodSandboxStats{}
	var all usage
	for _, c := range r.containersOf(s.Id) {
		used := c.usage(sums)
		all = usage{all.cpu + used.cpu, all.memory + used.memory, all.processes + used.processes}
		linux.Containers = append(linux.Containers, c.stats(used))
	}
	linux.Cpu, linux.Memory = cpuUsage(now, all), memoryUsage(now, all)
	linux.Process = &cri.ProcessUsage{Timestamp: now,
		ProcessCount: &cri.UInt64Value{Value: all.processes}}
	return &cri.PodSandboxStats{Linux: linux, Attributes: &cri.PodSandboxAttributes{Id: s.Id,
		Metadata: s.Metadata, Labels: s.Labels, Annotations: s.Annotations}}
}

// ListMetricDescriptors implements CRI: there are no metrics beyond the stats.
func (r *Runtime) ListMetricDescriptors(context.Context) ([]*cri.MetricDescriptor, error) {
	return []*cri.MetricDescriptor{}, nil
}

// ListPodSandboxMetrics implements CRI; see ListMetricDescriptors.
func (r *Runtime) ListPodSandboxMetrics(context.Context) ([]*cri.PodSandboxMetrics, error) {
	return []*cri.PodSandboxMetrics{}, nil
}
