// Command knp-cyclonus decides flows by kube-network-policies, a network plugin's engine, and by cyclonus, the
// fuzzer of network plugins.
package main

import (
	"netpol.test/engines/question"
)

func main() {
	question.Serve(func(q *question.Question) (question.Verdicts, error) {
		packets, err := kubeNetworkPolicies(q)
		if err != nil {
			return nil, err
		}
		simulated, err := cyclonus(q)
		if err != nil {
			return nil, err
		}
		return question.Verdicts{"kube-network-policies": packets, "cyclonus": simulated}, nil
	})
}
