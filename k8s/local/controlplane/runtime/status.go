// What CRI tells about containers.

package runtime

import (
	"context"
	"encoding/json"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ListContainers implements CRI, newest first.
func (r *Runtime) ListContainers(
	_ context.Context, filter *cri.ContainerFilter,
) ([]*cri.Container, error) {
	found := []*cri.Container{}
	for _, c := range r.containersOf("") {
		if item := c.item(); matchesContainer(filter, item) {
			found = append(found, item)
		}
	}
	return found, nil
}

func (c *container) item() *cri.Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	reference := c.config.GetImage().GetImage()
	return &cri.Container{Id: c.id, PodSandboxId: c.sandbox.id, Metadata: c.config.Metadata,
		Image: c.config.Image, ImageRef: reference, ImageId: reference, State: c.state,
		CreatedAt: c.createdAt, Labels: c.config.Labels, Annotations: c.config.Annotations}
}

// ContainerStatus implements CRI. The verbose answer has the number of the container's first
// process, as the node's processes are numbered.
func (r *Runtime) ContainerStatus(
	_ context.Context, id string, verbose bool,
) (*cri.ContainerStatusResponse, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	response := &cri.ContainerStatusResponse{Status: c.status()}
	if verbose {
		c.mu.Lock()
		defer c.mu.Unlock()
		pid := 0
		if c.process != nil {
			pid = c.process.cmd.Process.Pid
		}
		info, err := json.Marshal(map[string]any{"pid": pid, "sandboxID": c.sandbox.id})
		if err != nil {
			return nil, err
		}
		response.Info = map[string]string{"info": string(info)}
	}
	return response, nil
}

func (c *container) status() *cri.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	reference := c.config.GetImage().GetImage()
	return &cri.ContainerStatus{
		Id: c.id, Metadata: c.config.Metadata, State: c.state, CreatedAt: c.createdAt,
		StartedAt: c.startedAt, FinishedAt: c.finishedAt, ExitCode: c.exitCode,
		Image: c.config.Image, ImageRef: reference, ImageId: reference,
		Reason: c.reason, Message: c.message,
		Labels: c.config.Labels, Annotations: c.config.Annotations, Mounts: c.config.Mounts,
		LogPath: c.logPath, Resources: c.resources, StopSignal: c.config.StopSignal,
		User: &cri.ContainerUser{Linux: &cri.LinuxContainerUser{
			Uid: int64(c.who.uid), Gid: int64(c.who.gid)}},
	}
}
