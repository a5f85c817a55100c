package node

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/volume"
)

// ownerless keeps the kubelet from giving a service account's token to the pod's runAsUser. A
// container's user is the node's own user in a user namespace (contain), so the node's files are
// the container's already; any other owner would be nobody there, and without root the kubelet
// may not change owners at all.
type ownerless struct{ volume.VolumePlugin }

func (p ownerless) NewMounter(spec *volume.Spec, pod *v1.Pod) (volume.Mounter, error) {
	mounter, err := p.VolumePlugin.NewMounter(spec, pod)
	if err != nil {
		return nil, err
	}
	return ownerlessMounter{mounter}, nil
}

type ownerlessMounter struct{ volume.Mounter }

func (m ownerlessMounter) SetUp(args volume.MounterArgs) error {
	args.FsUser = nil
	return m.Mounter.SetUp(args)
}

func (m ownerlessMounter) SetUpAt(dir string, args volume.MounterArgs) error {
	args.FsUser = nil
	return m.Mounter.SetUpAt(dir, args)
}
