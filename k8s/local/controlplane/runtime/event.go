// CRI's events.

package runtime

import (
	"context"
	"sync"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// broadcast hands container events to whoever listens. A listener that does not keep up loses
// events rather than stopping the node; the kubelet lists everything anyway.
type broadcast struct {
	mu        sync.Mutex
	listeners map[chan *cri.ContainerEventResponse]bool
}

func (b *broadcast) send(event *cri.ContainerEventResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for to := range b.listeners {
		select {
		case to <- event:
		default:
		}
	}
}

func (b *broadcast) listening() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.listeners) > 0
}

func (b *broadcast) listen(to chan *cri.ContainerEventResponse, on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = map[chan *cri.ContainerEventResponse]bool{}
	}
	if on {
		b.listeners[to] = true
	} else {
		delete(b.listeners, to)
	}
}

// GetContainerEvents implements CRI: it sends events until the context ends.
func (r *Runtime) GetContainerEvents(
	ctx context.Context, to chan *cri.ContainerEventResponse,
	connected func(cri.RuntimeService_GetContainerEventsClient),
) error {
	buffer := make(chan *cri.ContainerEventResponse, 256)
	r.events.listen(buffer, true)
	defer r.events.listen(buffer, false)
	if connected != nil {
		connected(nil)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-buffer:
			select {
			case to <- event:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// announce tells listeners about a change of a pod or of one of its containers, with the state of
// the whole pod.
func (r *Runtime) announce(sandboxID, id string, kind cri.ContainerEventType) {
	if !r.events.listening() {
		return
	}
	event := &cri.ContainerEventResponse{ContainerId: id, ContainerEventType: kind,
		CreatedAt: time.Now().UnixNano()}
	if s, err := r.sandbox(sandboxID); err == nil {
		event.PodSandboxStatus = r.sandboxStatus(s)
	}
	for _, c := range r.containersOf(sandboxID) {
		event.ContainersStatuses = append(event.ContainersStatuses, c.status())
	}
	r.events.send(event)
}
