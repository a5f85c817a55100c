// Certificates and keys: made, read, and judged whether they are still good.

package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	// renewal: a certificate that ends sooner is made anew.
	renewal = 30 * 24 * time.Hour
)

// pair is a certificate and its key.
type pair struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// ensureAuthority returns the authority at base.crt and base.key, a new one when there is no good
// one. With a new one every certificate is made anew.
func ensureAuthority(base string, now time.Time) (*pair, error) {
	if found, err := load(base); err == nil && found.certificate.IsCA &&
		found.certificate.NotAfter.After(now.Add(certificateLife)) {
		return found, nil
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "sluice-local"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	return issue(base, template, nil)
}

// ensure makes the certificate of who, unless there is a good one.
func (ca *pair) ensure(base string, who identity, now time.Time) error {
	if found, err := load(base); err == nil && ca.good(found.certificate, who, now) {
		return nil
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: who.user},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		DNSNames:    who.dns,
	}
	if who.group != "" {
		template.Subject.Organization = []string{who.group}
	}
	if who.server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, addr := range who.addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(addr.AsSlice()))
	}
	_, err := issue(base, template, ca)
	return err
}

// good says whether a certificate is from this authority, lasts, and says what who is.
func (ca *pair) good(c *x509.Certificate, who identity, now time.Time) bool {
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	var groups []string
	if who.group != "" {
		groups = []string{who.group}
	}
	var addresses []netip.Addr
	for _, ip := range c.IPAddresses {
		addr, _ := netip.AddrFromSlice(ip)
		addresses = append(addresses, addr.Unmap())
	}
	return err == nil && c.NotAfter.After(now.Add(renewal)) && c.Subject.CommonName == who.user &&
		slices.Equal(c.Subject.Organization, groups) && slices.Equal(c.DNSNames, who.dns) &&
		slices.Equal(addresses, who.addresses)
}

// issue makes a key and a certificate for it, signed by ca, or by itself when ca is nil.
func issue(base string, template *x509.Certificate, ca *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	parent := &pair{template, key}
	if ca != nil {
		parent = ca
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.certificate, &key.PublicKey, parent.key)
	if err != nil {
		return nil, err
	}
	if err := writeKey(base+".key", key); err != nil {
		return nil, err
	}
	if err := writePEM(base+".crt", "CERTIFICATE", der, 0o644); err != nil {
		return nil, err
	}
	return load(base)
}

// load reads a certificate and its key. A key that belongs to another certificate is an error: a
// run that was interrupted between the two files leaves that.
func load(base string) (*pair, error) {
	der, err := readPEM(base + ".crt")
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	key, err := readKey(base + ".key")
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New(base + ".key is not the key of the certificate")
	}
	return &pair{certificate, key}, nil
}

// ensureSigningKey makes the key that signs service-account tokens, and its public half.
func ensureSigningKey(private, public string) error {
	key, err := readKey(private)
	if err != nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return err
		}
		if err := writeKey(private, key); err != nil {
			return err
		}
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return writePEM(public, "PUBLIC KEY", der, 0o644)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	return x509.ParseECPrivateKey(der)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New(path + " is not a PEM file")
	}
	return block.Bytes, nil
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return replace(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// replace writes a whole file or nothing, and never widens its mode.
func replace(path string, data []byte, mode os.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already when all went well
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(mode), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(file.Name(), path)
}
