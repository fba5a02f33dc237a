package main

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// forCyclonus spells selectors so that cyclonus 0.5.6 reads them as Kubernetes does. It takes NotIn for "the key is
// there, with another value", and a missing key for an empty value of matchLabels. Therefore NotIn becomes two selectors,
// one for the pods without the key and one for those with another value, and matchLabels becomes In.
func forCyclonus(policies []*networkingv1.NetworkPolicy) []*networkingv1.NetworkPolicy {
	var spelled []*networkingv1.NetworkPolicy
	for _, policy := range policies {
		policy := policy.DeepCopy()
		for at := range policy.Spec.Ingress {
			policy.Spec.Ingress[at].From = peers(policy.Spec.Ingress[at].From)
		}
		for at := range policy.Spec.Egress {
			policy.Spec.Egress[at].To = peers(policy.Spec.Egress[at].To)
		}
		for _, selector := range selectors(&policy.Spec.PodSelector) {
			part := policy.DeepCopy()
			part.Spec.PodSelector = *selector
			spelled = append(spelled, part)
		}
	}
	return spelled
}

func peers(list []networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer {
	var spelled []networkingv1.NetworkPolicyPeer
	for _, peer := range list {
		for _, namespace := range selectors(peer.NamespaceSelector) {
			for _, pod := range selectors(peer.PodSelector) {
				part := networkingv1.NetworkPolicyPeer{PodSelector: pod, NamespaceSelector: namespace, IPBlock: peer.IPBlock}
				spelled = append(spelled, part)
			}
		}
	}
	return spelled
}

// selectors returns selectors that together mean one.
func selectors(selector *metav1.LabelSelector) []*metav1.LabelSelector {
	if selector == nil {
		return []*metav1.LabelSelector{nil}
	}
	spelled := []*metav1.LabelSelector{{}}
	and := func(choices ...metav1.LabelSelectorRequirement) {
		var next []*metav1.LabelSelector
		for _, before := range spelled {
			for _, choice := range choices {
				part := before.DeepCopy()
				part.MatchExpressions = append(part.MatchExpressions, choice)
				next = append(next, part)
			}
		}
		spelled = next
	}
	for key, value := range selector.MatchLabels {
		and(metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{value}})
	}
	for _, requirement := range selector.MatchExpressions {
		if requirement.Operator == metav1.LabelSelectorOpNotIn {
			absent := metav1.LabelSelectorRequirement{Key: requirement.Key, Operator: metav1.LabelSelectorOpDoesNotExist}
			and(requirement, absent)
		} else {
			and(requirement)
		}
	}
	return spelled
}
