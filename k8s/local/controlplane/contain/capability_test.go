package contain

import (
	"slices"
	"testing"
)

func TestCapabilitiesFollowKubernetes(t *testing.T) {
	bind := slices.Index(capabilityNames, "NET_BIND_SERVICE")
	raw := slices.Index(capabilityNames, "NET_RAW")
	admin := slices.Index(capabilityNames, "NET_ADMIN")
	cases := []struct {
		name       string
		add, drop  []string
		privileged bool
		size       int
		has, lacks int
	}{
		{"usual", nil, nil, false, len(usualCapabilities), raw, admin},
		{"drop ALL", nil, []string{"ALL"}, false, 0, -1, bind},
		{"drop ALL, add one", []string{"NET_BIND_SERVICE"}, []string{"all"}, false, 1, bind, raw},
		{"drop one", nil, []string{"CAP_NET_RAW"}, false, len(usualCapabilities) - 1, bind, raw},
		{"add and drop the same", []string{"NET_ADMIN"}, []string{"NET_ADMIN"}, false,
			len(usualCapabilities), raw, admin},
		{"add ALL", []string{"ALL"}, nil, false, len(capabilityNames), admin, -1},
		{"privileged", nil, []string{"ALL"}, true, len(capabilityNames), admin, -1},
	}
	for _, c := range cases {
		got, err := Capabilities(c.add, c.drop, c.privileged)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if len(got) != c.size || (c.has >= 0 && !slices.Contains(got, c.has)) ||
			slices.Contains(got, c.lacks) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if _, err := Capabilities([]string{"NO_SUCH"}, nil, false); err == nil {
		t.Error("an unknown name must be an error")
	}
}
