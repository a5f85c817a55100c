// The kubelet: its configuration and what it is made of.

package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	noopoteltrace "go.opentelemetry.io/otel/trace/noop"
	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	kubeletoptions "k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletutil "k8s.io/kubernetes/pkg/kubelet/util"
	"k8s.io/kubernetes/pkg/util/oom"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
	"k8s.io/mount-utils"

	"controlplane.sluice.dev/runtime"
)

// Label marks the node, so that nobody takes it for one with a real container runtime.
const Label = "sluice.dev/process-node"

// startKubelet runs the kubelet in the background, over the given runtime.
func startKubelet(ctx context.Context, o *options, r *runtime.Runtime, m *manager) error {
	gates := map[string]bool{
		"KubeletInUserNamespace": true,
		// It reads the cgroups of pods, and there are none.
		"InPlacePodLevelResourcesVerticalScaling": false,
	}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(gates); err != nil {
		return err
	}
	client, heartbeat, err := clients(o.kubeconfig)
	if err != nil {
		return err
	}
	root, err := kubeletRoot(o.dir)
	if err != nil {
		return err
	}
	config, err := configuration(o)
	if err != nil {
		return err
	}
	auth, reloadCA, err := kubeletapp.BuildAuth(types.NodeName(o.name), client, *config)
	if err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	reloadCA(ctx.Done())
	serving, err := servingTLS(o)
	if err != nil {
		return err
	}
	flags := kubeletoptions.NewKubeletFlags()
	flags.RootDirectory, flags.CertDirectory = root, filepath.Join(root, "pki")
	flags.HostnameOverride, flags.NodeIP = o.name, o.nodeIP.String()
	flags.NodeLabels = map[string]string{Label: "true"}
	links := filepath.Join(o.dir, "log-links")
	kubelet.ContainerLogsDir = links
	mounter := mount.NewWithoutSystemd("")
	host := hostutil.NewHostUtil()
	return kubeletapp.RunKubelet(ctx,
		&kubeletoptions.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *config},
		&kubelet.Dependencies{
			Auth: auth, KubeClient: client, HeartbeatClient: heartbeat, EventClient: client.CoreV1(),
			RemoteRuntimeService: r, RemoteImageService: runtime.NewImages(o.dir),
			CAdvisorInterface: &machine{name: o.name, dir: o.dir, started: time.Now()},
			ContainerManager:  m, VolumePlugins: volumePlugins(), OOMAdjuster: oom.NewFakeOOMAdjuster(),
			OSInterface: privateOS{logs: links},
			Mounter:     mounter, Subpather: subpath.New(mounter), HostUtil: privateHost{host},
			PodStartupLatencyTracker:  kubeletutil.NewPodStartupLatencyTracker(),
			NodeStartupLatencyTracker: kubeletutil.NewNodeStartupLatencyTracker(),
			TracerProvider:            noopoteltrace.NewTracerProvider(),
			TLSConfig:                 serving,
		})
}

// clients are two, so that a busy kubelet never misses its heartbeat.
func clients(kubeconfig string) (client, heartbeat clientset.Interface, err error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	config.QPS, config.Burst = 50, 100
	if client, err = clientset.NewForConfig(config); err != nil {
		return nil, nil, err
	}
	config.Timeout = 10 * time.Second
	heartbeat, err = clientset.NewForConfig(config)
	return client, heartbeat, err
}

// configuration is the kubelet's own, where it differs from the defaults.
func configuration(o *options) (*kubeletconfig.KubeletConfiguration, error) {
	c, err := kubeletoptions.NewKubeletConfiguration()
	if err != nil {
		return nil, err
	}
	c.Address, c.Port, c.ReadOnlyPort, c.HealthzPort = o.nodeIP.String(), int32(o.port), 0, 0
	c.EnableServer = true
	c.PodLogsDir = filepath.Join(o.dir, "logs")
	c.Authentication.X509.ClientCAFile = o.clientCA
	c.Authentication.Anonymous.Enabled = false
	c.Authentication.Webhook.Enabled = true
	c.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, fmt.Errorf("limit of open files: %w", err)
	}
	c.MaxOpenFiles = int64(min(files.Max, 1_000_000))
	// A changed ConfigMap shall reach its file as soon as the API tells of it.
	c.ConfigMapAndSecretChangeDetectionStrategy = kubeletconfig.WatchChangeDetectionStrategy
	c.SyncFrequency = metav1.Duration{Duration: time.Second}
	c.FileCheckFrequency = metav1.Duration{Duration: time.Minute}
	// There are no cgroups, no images to collect, and the disk is the user's own business.
	c.CgroupsPerQOS, c.EnforceNodeAllocatable = false, nil
	c.EvictionHard = map[string]string{}
	c.ImageGCHighThresholdPercent, c.ImageGCLowThresholdPercent = 100, 99
	c.EnableControllerAttachDetach = false
	c.RegisterNode, c.FailSwapOn = true, false
	c.ResolverConfig, c.ClusterDomain = "", o.clusterDomain
	if o.clusterDNS != "" {
		c.ClusterDNS = []string{o.clusterDNS}
	}
	return c, os.MkdirAll(c.PodLogsDir, 0o755)
}

func servingTLS(o *options) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the node: %w", err)
	}
	pem, err := os.ReadFile(o.clientCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(o.clientCA + " holds no certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		ClientCAs: pool, ClientAuth: tls.RequestClientCert}, nil
}
