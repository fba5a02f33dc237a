// Command np-guard decides flows by np-guard's netpol-analyzer, which analyses manifests before they are deployed.
package main

import (
	"net/netip"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/np-guard/netpol-analyzer/pkg/logger"
	"github.com/np-guard/netpol-analyzer/pkg/netpol/eval"

	"netpol.test/engines/question"
)

func main() {
	question.Serve(func(q *question.Question) (question.Verdicts, error) {
		engine, err := eval.NewPolicyEngineWithOptionsList(
			eval.WithLogger(logger.NewDefaultLoggerWithVerbosity(logger.LowVerbosity)))
		if err != nil {
			return nil, err
		}
		for _, namespace := range q.Namespaces {
			if err := engine.InsertObject(namespace); err != nil {
				return nil, err
			}
		}
		for _, pod := range q.Pods {
			if err := engine.InsertObject(pod); err != nil {
				return nil, err
			}
		}
		for _, policy := range q.Policies {
			if err := engine.InsertObject(spelled(policy)); err != nil {
				return nil, err
			}
		}
		letters, err := q.Each(func(flow question.Flow) (bool, error) {
			if isIPv6(flow.From.Address) || isIPv6(flow.To.Address) {
				return false, question.ErrNoVote
			}
			return engine.CheckIfAllowed(peer(flow.From), peer(flow.To), string(flow.Protocol), strconv.Itoa(flow.Port))
		})
		return question.Verdicts{"np-guard": letters}, err
	})
}

func peer(end question.End) string {
	if end.Pod != nil {
		return end.Pod.Namespace + "/" + end.Pod.Name
	}
	return end.Address
}

func isIPv6(address string) bool {
	parsed, err := netip.ParseAddr(address)
	return err == nil && parsed.Is6()
}

// spelled returns a policy as np-guard 1.4.4 reads it right. It takes a protocol without a port for every protocol, so
// that the port becomes a range; and it knows no IPv6, so that blocks of it, which no other flow meets, are left out.
func spelled(policy *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicy {
	policy = policy.DeepCopy()
	for _, ports := range question.Ports(policy) {
		for at := range *ports {
			if port := &(*ports)[at]; port.Port == nil {
				first, last := intstr.FromInt32(1), int32(65535)
				port.Port, port.EndPort = &first, &last
			}
		}
	}
	var ingress []networkingv1.NetworkPolicyIngressRule
	for _, rule := range policy.Spec.Ingress {
		if from, ok := withoutIPv6(rule.From); ok {
			rule.From = from
			ingress = append(ingress, rule)
		}
	}
	var egress []networkingv1.NetworkPolicyEgressRule
	for _, rule := range policy.Spec.Egress {
		if to, ok := withoutIPv6(rule.To); ok {
			rule.To = to
			egress = append(egress, rule)
		}
	}
	policy.Spec.Ingress, policy.Spec.Egress = ingress, egress
	return policy
}

// withoutIPv6 returns the peers without blocks of IPv6, and false where nobody is left: an empty list would be everyone.
func withoutIPv6(peers []networkingv1.NetworkPolicyPeer) ([]networkingv1.NetworkPolicyPeer, bool) {
	var left []networkingv1.NetworkPolicyPeer
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if prefix, err := netip.ParsePrefix(peer.IPBlock.CIDR); err == nil && prefix.Addr().Is6() {
				continue
			}
		}
		left = append(left, peer)
	}
	return left, len(left) > 0 || len(peers) == 0
}
