// The name service.

package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"k8s.io/klog/v2"
)

// maxUDP is the size of a DNS answer that fits everywhere; a longer one is asked for over TCP.
const maxUDP = 512

// ttlSeconds is short: Services of a local cluster come and go.
const ttlSeconds = 5

// resolver answers DNS questions about Services. It knows nothing else, and says so at once:
// there is no way out of the cluster's network anyway.
type resolver struct {
	known atomic.Pointer[map[string][]netip.Addr]
}

func (r *resolver) set(known map[string][]netip.Addr) { r.known.Store(&known) }

// listen serves on the address until the program ends.
func (r *resolver) listen(address netip.AddrPort) error {
	packets, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(address))
	if err != nil {
		return fmt.Errorf("name service: %w", err)
	}
	streams, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(address))
	if err != nil {
		return errors.Join(fmt.Errorf("name service: %w", err), packets.Close())
	}
	go r.servePackets(packets)
	go r.serveStreams(streams)
	return nil
}

func (r *resolver) servePackets(conn *net.UDPConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			klog.ErrorS(err, "The name service cannot read")
			return
		}
		if answer, err := r.answer(buffer[:n], maxUDP); err == nil {
			_, _ = conn.WriteToUDPAddrPort(answer, from) // who asked may be gone
		}
	}
}

func (r *resolver) serveStreams(listener *net.TCPListener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			klog.ErrorS(err, "The name service cannot accept")
			return
		}
		go func() {
			defer conn.Close()
			for r.serveOne(conn) == nil {
			}
		}()
	}
}

func (r *resolver) serveOne(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	var size uint16
	if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
		return err
	}
	question := make([]byte, size)
	if _, err := io.ReadFull(conn, question); err != nil {
		return err
	}
	answer, err := r.answer(question, 1<<16-1)
	if err != nil {
		return err
	}
	_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}

// answer is the reply to one message. What is no question gets none.
func (r *resolver) answer(message []byte, limit int) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(message)
	if err != nil || header.Response {
		return nil, errors.New("not a question")
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true,
			RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	addresses, exists := (*r.known.Load())[strings.ToLower(question.Name.String())]
	if !exists {
		reply.RCode = dnsmessage.RCodeNameError
	}
	if question.Type == dnsmessage.TypeA && question.Class == dnsmessage.ClassINET {
		for _, address := range addresses {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class,
					TTL: ttlSeconds},
				Body: &dnsmessage.AResource{A: address.As4()}})
		}
	}
	packed, err := reply.Pack()
	if err == nil && len(packed) > limit {
		reply.Truncated, reply.Answers = true, nil
		packed, err = reply.Pack()
	}
	return packed, err
}
