package main

import (
	"github.com/mattfenwick/cyclonus/pkg/matcher"

	"netpol.test/engines/question"
)

// cyclonus decides flows by the matcher that it compares plugins with.
func cyclonus(q *question.Question) (string, error) {
	policy := matcher.BuildNetworkPolicies(false, forCyclonus(q.Policies))
	return q.Each(func(flow question.Flow) (bool, error) {
		traffic := matcher.Traffic{
			Source:       peer(q, flow.From),
			Destination:  peer(q, flow.To),
			ResolvedPort: flow.Port,
			Protocol:     flow.Protocol,
		}
		// A number may have several names, and cyclonus takes one: either direction is open by any of them.
		names := []string{""}
		if pod := flow.To.Pod; pod != nil {
			for _, port := range pod.Spec.Containers[0].Ports {
				if int(port.ContainerPort) == flow.Port && port.Protocol == flow.Protocol {
					names = append(names, port.Name)
				}
			}
		}
		in, out := false, false
		for _, name := range names {
			one := traffic
			one.ResolvedPortName = name
			verdict := policy.IsTrafficAllowed(&one)
			in = in || verdict.Ingress.IsAllowed()
			out = out || verdict.Egress.IsAllowed()
		}
		return in && out, nil
	})
}

func peer(q *question.Question, end question.End) *matcher.TrafficPeer {
	peer := &matcher.TrafficPeer{IP: end.Address}
	if end.Pod != nil {
		peer.Internal = &matcher.InternalPeer{
			PodLabels:       end.Pod.Labels,
			NamespaceLabels: q.NamespaceLabels(end.Pod.Namespace),
			Namespace:       end.Pod.Namespace,
		}
	}
	return peer
}
