// Volume plugins.

package node

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/downwardapi"
	"k8s.io/kubernetes/pkg/volume/emptydir"
	"k8s.io/kubernetes/pkg/volume/hostpath"
	"k8s.io/kubernetes/pkg/volume/projected"
	"k8s.io/kubernetes/pkg/volume/secret"
)

// volumePlugins are those that need nothing but the machine itself.
func volumePlugins() []volume.VolumePlugin {
	var plugins []volume.VolumePlugin
	for _, some := range [][]volume.VolumePlugin{
		emptydir.ProbeVolumePlugins(), configmap.ProbeVolumePlugins(), secret.ProbeVolumePlugins(),
		projected.ProbeVolumePlugins(), downwardapi.ProbeVolumePlugins(),
	} {
		for _, plugin := range some {
			plugins = append(plugins, ownerless{plugin})
		}
	}
	return append(plugins, hostpath.ProbeVolumePlugins(volume.VolumeConfig{})...)
}

// ownerless mounts volumes without giving them to the pod's user and group (runAsUser, fsGroup).
// The node has one user only; inside a container that user is whoever the pod asks for, so the
// volume is the pod's already, and a file for its owner alone can be read.
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
	return m.Mounter.SetUp(withoutOwner(args))
}

func (m ownerlessMounter) SetUpAt(dir string, args volume.MounterArgs) error {
	return m.Mounter.SetUpAt(dir, withoutOwner(args))
}

func withoutOwner(args volume.MounterArgs) volume.MounterArgs {
	args.FsUser, args.FsGroup = nil, nil
	return args
}
