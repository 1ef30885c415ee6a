# Admission of workloads: the checks that clusters commonly ask of a Deployment.
package kubernetes.admission

import rego.v1

kinds := {"Deployment", "StatefulSet", "DaemonSet", "Job"}

spec := input.request.object.spec.template.spec if input.request.kind.kind in kinds

spec := input.request.object.spec if input.request.kind.kind == "Pod"

containers contains container if some container in spec.containers

containers contains container if some container in spec.initContainers

deny contains msg if {
	some container in containers
	not trusted_image(container.image)
	msg := sprintf("container %q: image %q is not from a trusted registry", [container.name, container.image])
}

deny contains msg if {
	some container in containers
	endswith(container.image, ":latest")
	msg := sprintf("container %q: the tag latest is not allowed", [container.name])
}

deny contains msg if {
	some container in containers
	not contains(container.image, ":")
	msg := sprintf("container %q: the image needs a tag", [container.name])
}

deny contains msg if {
	some container in containers
	container.securityContext.privileged
	msg := sprintf("container %q is privileged", [container.name])
}

deny contains msg if {
	some container in containers
	not container.securityContext.runAsNonRoot
	not spec.securityContext.runAsNonRoot
	msg := sprintf("container %q may run as root", [container.name])
}

deny contains msg if {
	some container in containers
	some capability in container.securityContext.capabilities.add
	not capability in data.settings.allowed_capabilities
	msg := sprintf("container %q adds the capability %s", [container.name, capability])
}

deny contains msg if {
	some container in containers
	some resource in ["cpu", "memory"]
	not container.resources.limits[resource]
	msg := sprintf("container %q has no limit for %s", [container.name, resource])
}

deny contains msg if {
	some container in containers
	limit := units.parse_bytes(container.resources.limits.memory)
	limit > units.parse_bytes(data.settings.max_memory)
	msg := sprintf("container %q asks for more memory than %s", [container.name, data.settings.max_memory])
}

deny contains msg if {
	some container in containers
	some probe in ["livenessProbe", "readinessProbe"]
	input.request.kind.kind != "Job"
	not container[probe]
	not is_init(container)
	msg := sprintf("container %q has no %s", [container.name, probe])
}

deny contains msg if {
	some volume in spec.volumes
	volume.hostPath
	not volume.hostPath.path in data.settings.allowed_host_paths
	msg := sprintf("volume %q mounts the host's %s", [volume.name, volume.hostPath.path])
}

deny contains msg if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	spec[field]
	msg := sprintf("%s is not allowed", [field])
}

deny contains msg if {
	some label in data.settings.required_labels
	not input.request.object.metadata.labels[label]
	msg := sprintf("the label %q is missing", [label])
}

deny contains msg if {
	value := input.request.object.metadata.labels.team
	not value in data.settings.teams
	msg := sprintf("the team %q does not exist", [value])
}

deny contains msg if {
	input.request.object.spec.replicas > data.settings.max_replicas
	msg := sprintf("%d replicas, at most %d are allowed", [input.request.object.spec.replicas, data.settings.max_replicas])
}

trusted_image(image) if {
	some registry in data.settings.registries
	startswith(image, registry)
}

is_init(container) if {
	some init in spec.initContainers
	init.name == container.name
}

review := {
	"apiVersion": "admission.k8s.io/v1",
	"kind": "AdmissionReview",
	"response": {
		"uid": input.request.uid,
		"allowed": count(deny) == 0,
		"status": {"message": concat("; ", sort(deny))},
	},
}
