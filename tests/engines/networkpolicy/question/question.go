// Package question is what the driver and the engines of NetworkPolicy say to each other: a line of JSON with a cluster,
// objects and flows, answered by a line with the engines' verdicts. A process answers many questions, so that starting
// it costs nothing.
package question

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The longest line that is read.
const longest = 64 << 20

// Question is a cluster, its NetworkPolicies and what is asked about them.
type Question struct {
	Namespaces []*corev1.Namespace
	Pods       []*corev1.Pod
	// Policies as the API server stores them, defaults filled in.
	Policies []*networkingv1.NetworkPolicy
	Flows    []Flow
}

// Flow is one end to another on a port of the second.
type Flow struct {
	From, To End
	Port     int
	Protocol corev1.Protocol
}

// End is an address, and the pod that has it.
type End struct {
	Address string
	Pod     *corev1.Pod
}

// NamespaceLabels returns the labels of a namespace.
func (q *Question) NamespaceLabels(name string) map[string]string {
	for _, namespace := range q.Namespaces {
		if namespace.Name == name {
			return namespace.Labels
		}
	}
	return nil
}

// Verdicts are, by engine, a letter for each flow: 1 is allowed, 0 denied, and - no vote.
type Verdicts map[string]string

// ErrNoVote is what an engine answers for a flow of which it knows nothing.
var ErrNoVote = errors.New("no vote")

// Serve answers every line of stdin by a line on stdout.
func Serve(judge func(*Question) (Verdicts, error)) {
	// What engines print themselves is no answer.
	out := bufio.NewWriter(os.Stdout)
	os.Stdout = os.Stderr
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		var answer struct {
			Verdicts Verdicts `json:"verdicts,omitempty"`
			Error    string   `json:"error,omitempty"`
		}
		question, err := read(lines.Bytes())
		if err == nil {
			answer.Verdicts, err = judge(question)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		if err := write(out, answer); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(out *bufio.Writer, answer any) error {
	if err := json.NewEncoder(out).Encode(answer); err != nil {
		return err
	}
	return out.Flush()
}

type line struct {
	Namespaces []struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"namespaces"`
	Pods []struct {
		Namespace string            `json:"namespace"`
		Name      string            `json:"name"`
		Labels    map[string]string `json:"labels"`
		Addresses []string          `json:"addresses"`
		Ports     []struct {
			Name     string          `json:"name"`
			Port     int32           `json:"port"`
			Protocol corev1.Protocol `json:"protocol"`
		} `json:"ports"`
	} `json:"pods"`
	// YAML documents, as they were written.
	Objects []string `json:"objects"`
	// Addresses, ports and, by their numbers, the flows: from, to, port.
	Ends  []string `json:"ends"`
	Ports []struct {
		Port     int             `json:"port"`
		Protocol corev1.Protocol `json:"protocol"`
	} `json:"ports"`
	Flows [][3]int `json:"flows"`
}

func read(text []byte) (*Question, error) {
	var line line
	if err := json.Unmarshal(text, &line); err != nil {
		return nil, err
	}
	question := &Question{}
	for _, namespace := range line.Namespaces {
		// The API server gives every namespace its name as a label.
		labels := map[string]string{corev1.LabelMetadataName: namespace.Name}
		for key, value := range namespace.Labels {
			labels[key] = value
		}
		meta := metav1.ObjectMeta{Name: namespace.Name, Labels: labels}
		question.Namespaces = append(question.Namespaces, &corev1.Namespace{ObjectMeta: meta})
	}
	owners := map[string]*corev1.Pod{}
	for _, pod := range line.Pods {
		object := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels},
			Spec:       corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "main"}}},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "192.0.2.1"},
		}
		for _, port := range pod.Ports {
			container := &object.Spec.Containers[0]
			port := corev1.ContainerPort{Name: port.Name, ContainerPort: port.Port, Protocol: port.Protocol}
			container.Ports = append(container.Ports, port)
		}
		for _, address := range pod.Addresses {
			object.Status.PodIPs = append(object.Status.PodIPs, corev1.PodIP{IP: address})
			owners[address] = object
		}
		question.Pods = append(question.Pods, object)
	}
	for _, text := range line.Objects {
		policy, err := policy(text)
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, text)
		}
		question.Policies = append(question.Policies, policy)
	}
	for _, flow := range line.Flows {
		end := func(at int) End { return End{line.Ends[at], owners[line.Ends[at]]} }
		port := line.Ports[flow[2]]
		question.Flows = append(question.Flows, Flow{end(flow[0]), end(flow[1]), port.Port, port.Protocol})
	}
	return question, nil
}

// policy reads an object and fills in the defaults as the API server would.
func policy(text string) (*networkingv1.NetworkPolicy, error) {
	policy := &networkingv1.NetworkPolicy{}
	if err := yaml.UnmarshalStrict([]byte(text), policy); err != nil {
		return nil, err
	}
	if policy.APIVersion != "networking.k8s.io/v1" || policy.Kind != "NetworkPolicy" {
		return nil, fmt.Errorf("%s %s is no NetworkPolicy", policy.APIVersion, policy.Kind)
	}
	spec := &policy.Spec
	if len(spec.PolicyTypes) == 0 {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(spec.Egress) > 0 {
			spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	tcp := corev1.ProtocolTCP
	for _, ports := range Ports(policy) {
		for at := range *ports {
			if (*ports)[at].Protocol == nil {
				(*ports)[at].Protocol = &tcp
			}
		}
	}
	return policy, nil
}

// Ports returns the lists of ports of a policy, one for each of its rules.
func Ports(policy *networkingv1.NetworkPolicy) []*[]networkingv1.NetworkPolicyPort {
	var lists []*[]networkingv1.NetworkPolicyPort
	for at := range policy.Spec.Ingress {
		lists = append(lists, &policy.Spec.Ingress[at].Ports)
	}
	for at := range policy.Spec.Egress {
		lists = append(lists, &policy.Spec.Egress[at].Ports)
	}
	return lists
}

// Each asks one engine about every flow.
func (q *Question) Each(allows func(Flow) (bool, error)) (string, error) {
	var letters strings.Builder
	for _, flow := range q.Flows {
		allowed, err := allows(flow)
		switch {
		case errors.Is(err, ErrNoVote):
			letters.WriteByte('-')
		case err != nil:
			return "", fmt.Errorf("%s -> %s:%d/%s: %w", flow.From.Address, flow.To.Address, flow.Port, flow.Protocol, err)
		case allowed:
			letters.WriteByte('1')
		default:
			letters.WriteByte('0')
		}
	}
	return letters.String(), nil
}
