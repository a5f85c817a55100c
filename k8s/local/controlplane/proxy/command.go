// Package proxy makes Service addresses work without a packet filter: the node holds every one of
// them (see the package network), and this program listens on those that exist and relays to the
// endpoints. It also answers DNS questions about Services.
package proxy

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	clientset "k8s.io/client-go/kubernetes"
	core "k8s.io/client-go/listers/core/v1"
	discovery "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// retry is how long an address that could not be opened waits for the next try.
const retry = time.Second

// Main is the subcommand "service-proxy". It runs until SIGTERM or SIGINT.
func Main(args []string) error {
	flags := flag.NewFlagSet("service-proxy", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig of a user who may watch Services")
	services := flags.String("service-cidr", "10.96.0.0/16", "the range of the Services' addresses")
	dns := flags.String("cluster-dns", "10.96.0.10", "address of the name service; empty: none")
	domain := flags.String("cluster-domain", "cluster.local", "domain of Service names")
	klog.InitFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *kubeconfig == "" {
		return errors.New("service-proxy needs --kubeconfig")
	}
	within, err := netip.ParsePrefix(*services)
	if err != nil {
		return fmt.Errorf("--service-cidr: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	p := &proxy{within: within, domain: *domain, listeners: newListeners(), resolver: &resolver{}}
	p.resolver.set(nil)
	if *dns != "" {
		address, err := netip.ParseAddr(*dns)
		if err != nil {
			return fmt.Errorf("--cluster-dns: %w", err)
		}
		if err := p.resolver.listen(netip.AddrPortFrom(address, 53)); err != nil {
			return err
		}
	}
	return p.run(ctx, client)
}

type proxy struct {
	within    netip.Prefix
	domain    string
	listeners *listeners
	resolver  *resolver

	services  core.ServiceLister
	endpoints discovery.EndpointSliceLister
}

func (p *proxy) run(ctx context.Context, client clientset.Interface) error {
	if err := awaitAPI(ctx, client); err != nil {
		return nil // stopped before there was anything to do
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	services, endpoints := factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	p.services, p.endpoints = services.Lister(), endpoints.Lister()
	changed := make(chan struct{}, 1)
	note := func(any) {
		select {
		case changed <- struct{}{}:
		default: // a round is due already
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: note, DeleteFunc: note,
		UpdateFunc: func(_, current any) { note(current) }}
	for _, informer := range []cache.SharedIndexInformer{services.Informer(), endpoints.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	klog.InfoS("Service proxy is ready", "range", p.within)
	for again := (<-chan time.Time)(nil); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again:
		}
		again = nil
		if err := p.sync(); err != nil {
			klog.ErrorS(err, "Some Service addresses cannot be served")
			again = time.After(retry)
		}
	}
}

// sync brings listeners and names in line with what the API says now.
func (p *proxy) sync() error {
	services, err := p.services.List(labels.Everything())
	if err != nil {
		return err
	}
	endpoints, err := p.endpoints.List(labels.Everything())
	if err != nil {
		return err
	}
	p.resolver.set(names(services, endpoints, p.domain))
	return p.listeners.apply(plan(services, endpoints, p.within))
}

// awaitAPI waits for the API server. Informers would wait longer and longer between tries.
func awaitAPI(ctx context.Context, client clientset.Interface) error {
	for {
		if _, err := client.Discovery().ServerVersion(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}
