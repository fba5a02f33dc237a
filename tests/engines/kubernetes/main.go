// Command kubernetes asks Kubernetes' own validation about manifests: each object is decoded strictly, defaulted as the
// API server would, and validated.
//
// Usage: kubernetes FILE…   prints one line per refused object and exits 1 if there is one; then the counts.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/apis/networking"
	networkingdefaults "k8s.io/kubernetes/pkg/apis/networking/v1"
	"k8s.io/kubernetes/pkg/apis/networking/validation"
	"sigs.k8s.io/yaml"
)

func main() {
	judged, refused, passed := 0, 0, 0
	for _, path := range os.Args[1:] {
		documents, err := split(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(2)
		}
		for _, document := range documents {
			known, err := judge(document)
			switch {
			case err != nil:
				refused++
				fmt.Printf("%s: refused: %v\n", path, err)
			case known:
				judged++
			default:
				passed++
			}
		}
	}
	fmt.Printf("kubernetes: %d accepted, %d refused, %d of other kinds\n", judged, refused, passed)
	if refused > 0 {
		os.Exit(1)
	}
}

func split(path string) ([][]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var documents [][]byte
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		if hasContent(document) {
			documents = append(documents, document)
		}
	}
}

// hasContent tells a document from comments alone.
func hasContent(document []byte) bool {
	for _, line := range strings.Split(string(document), "\n") {
		line = strings.TrimSpace(line)
		if line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return true
		}
	}
	return false
}

// judge returns whether the object is of a kind that is validated here, and why it is refused.
func judge(document []byte) (bool, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return true, err
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "networking.k8s.io/v1 NetworkPolicy":
		return true, networkPolicy(document)
	case "apps/v1 Deployment":
		var deployment appsv1.Deployment
		return true, yaml.UnmarshalStrict(document, &deployment)
	case "v1 Service":
		// Services are emitted as patches: what is not in the patch is the object's own.
		var service corev1.Service
		return true, yaml.UnmarshalStrict(document, &service)
	}
	return false, nil
}

func networkPolicy(document []byte) error {
	var policy networkingv1.NetworkPolicy
	if err := yaml.UnmarshalStrict(document, &policy); err != nil {
		return err
	}
	networkingdefaults.SetObjectDefaults_NetworkPolicy(&policy)
	var internal networking.NetworkPolicy
	if err := networkingdefaults.Convert_v1_NetworkPolicy_To_networking_NetworkPolicy(&policy, &internal, nil); err != nil {
		return err
	}
	options := validation.NetworkPolicyValidationOptions{AllowInvalidLabelValueInSelector: false}
	return validation.ValidateNetworkPolicy(&internal, options).ToAggregate()
}
