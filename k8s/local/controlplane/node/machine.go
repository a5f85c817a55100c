// The machine, as the kubelet asks about it.

package node

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	"golang.org/x/sys/unix"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
)

// machine answers the kubelet's questions about the machine from /proc. It stands in for cAdvisor,
// which needs cgroups; unlike the usual fake of it, it tells the truth.
type machine struct {
	name, dir string
	started   time.Time
}

var _ cadvisor.Interface = (*machine)(nil)

func (m *machine) Start() error { return nil }

// MachineInfo reports cores, as many as this process may use, and memory.
func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	memory, err := memoryInfo()
	if err != nil {
		return nil, err
	}
	bootID, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // it may be hidden; then it is empty
	return &cadvisorapi.MachineInfo{
		Timestamp: time.Now(), NumCores: runtime.NumCPU(), NumPhysicalCores: runtime.NumCPU(),
		NumSockets: 1, MemoryCapacity: memory["MemTotal"], SwapCapacity: memory["SwapTotal"],
		MachineID: m.name, SystemUUID: m.name, BootID: strings.TrimSpace(string(bootID)),
		InstanceID: cadvisorapi.InstanceID(m.name),
	}, nil
}

func (m *machine) VersionInfo() (*cadvisorapi.VersionInfo, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	return &cadvisorapi.VersionInfo{KernelVersion: unix.ByteSliceToString(name.Release[:]),
		ContainerOsVersion: osName("/etc/os-release") + " (process node)"}, nil
}

func osName(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "Linux"
	}
	for _, line := range strings.Split(string(data), "\n") {
		if value, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return "Linux"
}

// ContainerInfoV2 knows one container, "/": the machine.
func (m *machine) ContainerInfoV2(
	name string, _ cadvisorapiv2.RequestOptions,
) (map[string]cadvisorapiv2.ContainerInfo, error) {
	if name != "/" {
		return map[string]cadvisorapiv2.ContainerInfo{}, nil
	}
	stats, err := machineStats()
	if err != nil {
		return nil, err
	}
	memory, err := memoryInfo()
	if err != nil {
		return nil, err
	}
	return map[string]cadvisorapiv2.ContainerInfo{"/": {
		Spec: cadvisorapiv2.ContainerSpec{CreationTime: m.started, HasCpu: true, HasMemory: true,
			Memory: cadvisorapiv2.MemorySpec{Limit: memory["MemTotal"]}},
		Stats: []*cadvisorapiv2.ContainerStats{stats},
	}}, nil
}

func (m *machine) GetRequestedContainersInfo(
	string, cadvisorapiv2.RequestOptions,
) (map[string]*cadvisorapi.ContainerInfo, error) {
	return map[string]*cadvisorapi.ContainerInfo{}, nil
}

func (m *machine) ImagesFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) { return fsInfo(m.dir) }

func (m *machine) RootFsInfo() (cadvisorapiv2.FsInfo, error) { return fsInfo(m.dir) }

func (m *machine) ContainerFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) {
	return fsInfo(m.dir)
}

func (m *machine) GetDirFsInfo(path string) (cadvisorapiv2.FsInfo, error) { return fsInfo(path) }

// fsInfo describes the file system that holds path.
func fsInfo(path string) (cadvisorapiv2.FsInfo, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return cadvisorapiv2.FsInfo{}, fmt.Errorf("file system of %s: %w", path, err)
	}
	size := uint64(fs.Bsize)
	inodes, free := fs.Files, fs.Ffree
	return cadvisorapiv2.FsInfo{Timestamp: time.Now(), Device: path, Mountpoint: path,
		Capacity: fs.Blocks * size, Available: fs.Bavail * size, Usage: (fs.Blocks - fs.Bfree) * size,
		Inodes: &inodes, InodesFree: &free}, nil
}

// machineStats is the processor time and memory that all processes use.
func machineStats() (*cadvisorapiv2.ContainerStats, error) {
	memory, err := memoryInfo()
	if err != nil {
		return nil, err
	}
	busy, err := processorTime("/proc/stat")
	if err != nil {
		return nil, err
	}
	used := memory["MemTotal"] - memory["MemAvailable"]
	return &cadvisorapiv2.ContainerStats{
		Timestamp: time.Now(),
		Cpu:       &cadvisorapi.CpuStats{Usage: cadvisorapi.CpuUsage{Total: uint64(busy)}},
		Memory: &cadvisorapi.MemoryStats{Usage: memory["MemTotal"] - memory["MemFree"],
			WorkingSet: used, RSS: memory["AnonPages"]},
	}, nil
}

// memoryInfo is /proc/meminfo in bytes.
func memoryInfo() (map[string]uint64, error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info := map[string]uint64{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseUint(fields[0], 10, 64)
		if err != nil {
			continue
		}
		if len(fields) > 1 && fields[1] == "kB" {
			n *= 1024
		}
		info[name] = n
	}
	return info, lines.Err()
}

// processorTime is the time that all cores have worked since the machine started.
func processorTime(file string) (time.Duration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return 0, fmt.Errorf("%s does not begin with the sum of all cores", file)
	}
	ticks := uint64(0)
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq: not idle, not waiting
		n, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil
}
