// GPUs: how many there are, and who gets which. Pure decisions, but for the list of files.

package node

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// holder is a container that asks for GPUs.
type holder struct{ podUID, container string }

// assign chooses count of the GPUs for who, exclusively. held says who has which; those whose
// holder is not alive any more are free. Asking again returns the same answer: the kubelet does so
// whenever it tries again to create a container. held is not changed.
func assign(
	gpus []string, held map[holder][]string, alive func(holder) bool, who holder, count int,
) ([]string, error) {
	if own, ok := held[who]; ok && len(own) == count {
		return own, nil
	}
	taken := map[string]holder{}
	for other, ids := range held {
		if other == who || !alive(other) {
			continue
		}
		for _, id := range ids {
			taken[id] = other
		}
	}
	var free []string
	for _, id := range gpus {
		if _, ok := taken[id]; !ok {
			free = append(free, id)
		}
	}
	if len(free) < count {
		return nil, fmt.Errorf("container %s asks for %d GPUs, but only %d of %d are free",
			who.container, count, len(free), len(gpus))
	}
	return free[:count], nil
}

var gpuDevice = regexp.MustCompile(`^/dev/nvidia[0-9]+$`)

// countGPUs decides which GPUs the node offers, by the numbers that CUDA knows them by. wish is
// "auto" or a number; devices are the files under /dev; visible is the node's own
// CUDA_VISIBLE_DEVICES, which a batch system may have set to a part of the machine.
func countGPUs(wish string, devices []string, visible string, isSet bool) ([]string, error) {
	if wish != "auto" {
		n, err := strconv.Atoi(wish)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("--gpus is auto or a number, not %q", wish)
		}
		return numbers(n), nil
	}
	n := 0
	for _, device := range devices {
		if gpuDevice.MatchString(device) {
			n++
		}
	}
	if !isSet || n == 0 {
		return numbers(n), nil
	}
	var ids []string
	for _, id := range strings.Split(visible, ",") {
		if id = strings.TrimSpace(id); id == "" || id == "-1" || strings.EqualFold(id, "NoDevFiles") {
			break // as CUDA does, the list ends at what is no device
		}
		if slices.Contains(ids, id) {
			return nil, errors.New("CUDA_VISIBLE_DEVICES names a GPU twice: " + visible)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func numbers(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return ids
}

// gpuPatterns are the device files that programs on a GPU need, of NVIDIA's driver and of WSL's.
var gpuPatterns = []string{"/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dxg"}

func gpuFiles() ([]string, error) {
	var files []string
	for _, pattern := range gpuPatterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return f == "/dev/nvidia-caps" })
	slices.SortFunc(files, cmp.Compare[string])
	return files, nil
}
