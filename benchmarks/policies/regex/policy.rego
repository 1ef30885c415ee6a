# Looks for secrets and for dangerous commands in what an agent is about to run and write.
package scan

import rego.v1

secret_patterns := {
	"aws access key": `\b(AKIA|ASIA)[0-9A-Z]{16}\b`,
	"github token": `\bgh[pousr]_[A-Za-z0-9]{36}\b`,
	"gitlab token": `\bglpat-[A-Za-z0-9_-]{20}\b`,
	"google key": `\bAIza[0-9A-Za-z_-]{35}\b`,
	"json web token": `\beyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`,
	"private key": `-----BEGIN (RSA |EC |OPENSSH |DSA )?PRIVATE KEY-----`,
	"slack token": `\bxox[abprs]-[0-9A-Za-z-]{10,}\b`,
	"stripe key": `\b(sk|rk)_(live|test)_[0-9A-Za-z]{24,}\b`,
	"password in a url": `[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@[^/\s]+`,
	"assigned password": `(?i)\b(password|passwd|pwd|secret)\s*[:=]\s*["'][^"']{8,}["']`,
}

command_patterns := [
	`(^|[;&|]\s*)rm\s+(-[a-zA-Z]*r[a-zA-Z]*f|-[a-zA-Z]*f[a-zA-Z]*r)\b`,
	`\bgit\s+push\s+.*--force(\s|$)`,
	`\bgit\s+reset\s+--hard\b`,
	`\bcurl\s+[^|]*\|\s*(ba|z|da)?sh\b`,
	`\bchmod\s+(-R\s+)?777\b`,
	`\bdd\s+.*of=/dev/(sd|nvme|disk)`,
	`\bmkfs(\.[a-z0-9]+)?\s`,
	`:\(\)\s*\{\s*:\|:&\s*\};:`,
	`>\s*/dev/(sd|nvme)`,
	`\bnpm\s+publish\b`,
	`\bterraform\s+(destroy|apply)\b.*-auto-approve`,
	`\bkubectl\s+delete\s+(ns|namespace|pv|pvc)\b`,
]

findings contains {"kind": "secret", "name": name} if {
	some name, pattern in secret_patterns
	regex.match(pattern, input.content)
}

findings contains {"kind": "command", "pattern": pattern} if {
	some pattern in command_patterns
	regex.match(pattern, input.command)
}

findings contains {"kind": "address", "value": address} if {
	some address in regex.find_n(`\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b`, input.content, -1)
	not startswith(address, "10.")
	not startswith(address, "127.")
}

findings contains {"kind": "path", "value": input.path} if {
	regex.match(`(^|/)(\.env(\.[a-z]+)?|id_(rsa|ed25519)|.*\.(pem|key|p12))$`, input.path)
}

redacted := regex.replace(input.command, `(--?(?:token|password|key)[= ])\S+`, "${1}***")

report := {"findings": findings, "command": redacted}
