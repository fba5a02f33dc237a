package main

import (
	"context"
	"net"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"

	"netpol.test/engines/question"
)

// kubeNetworkPolicies decides flows as the plugin decides packets. Its informers are never started: what they would
// fetch is put into their stores.
func kubeNetworkPolicies(q *question.Question) (string, error) {
	factory := informers.NewSharedInformerFactory(fake.NewSimpleClientset(), 0)
	namespaces, pods := factory.Core().V1().Namespaces(), factory.Core().V1().Pods()
	policies := factory.Networking().V1().NetworkPolicies()
	resolver, err := podinfo.NewInformerResolver(pods.Informer())
	if err != nil {
		return "", err
	}
	for _, namespace := range q.Namespaces {
		if err := namespaces.Informer().GetStore().Add(namespace); err != nil {
			return "", err
		}
	}
	for _, pod := range q.Pods {
		if err := pods.Informer().GetStore().Add(pod); err != nil {
			return "", err
		}
	}
	for _, policy := range q.Policies {
		policy := policy.DeepCopy()
		// A list that is there and empty is "everything" to it. The API server keeps no such list.
		if len(policy.Spec.Ingress) == 0 {
			policy.Spec.Ingress = nil
		}
		if len(policy.Spec.Egress) == 0 {
			policy.Spec.Egress = nil
		}
		if err := policies.Informer().GetStore().Add(policy); err != nil {
			return "", err
		}
	}
	provider := podinfo.NewInformerProvider(pods, namespaces, nil, []podinfo.IPResolver{resolver})
	standard := networkpolicy.NewStandardNetworkPolicy("node", namespaces, pods, policies)
	engine := networkpolicy.NewPolicyEngine(provider, []api.PolicyEvaluator{standard})
	return q.Each(func(flow question.Flow) (bool, error) {
		return engine.EvaluatePacket(context.Background(), &network.Packet{
			SrcIP:   net.ParseIP(flow.From.Address),
			DstIP:   net.ParseIP(flow.To.Address),
			SrcPort: 40000,
			DstPort: flow.Port,
			Proto:   flow.Protocol,
		})
	})
}
