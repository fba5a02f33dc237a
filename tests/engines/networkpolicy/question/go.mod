module netpol.test/engines/question

go 1.26.0

require (
	k8s.io/api v0.30.2
	k8s.io/apimachinery v0.30.2
	sigs.k8s.io/yaml v1.4.0
)
