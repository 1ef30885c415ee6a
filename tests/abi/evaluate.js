// Evaluates modules in OPA's SDK for Node. Arguments: the folder node_modules, then a JSON file
// [{"module": path, "data": ..., "calls": [[entrypoint, input or absent]]}]; prints the outcomes as JSON.
const fs = require("fs");
const { loadPolicy } = require(process.argv[2] + "/@open-policy-agent/opa-wasm");

function outcome(policy, entrypoint, input) {
  try {
    return ["results", policy.evaluate(input, entrypoint)];
  } catch (error) {
    return ["error", String((error && error.message) || error)];
  }
}

(async () => {
  const outcomes = [];
  for (const job of JSON.parse(fs.readFileSync(process.argv[3], "utf-8"))) {
    const policy = await loadPolicy(fs.readFileSync(job.module));
    if (job.data !== undefined) policy.setData(job.data);
    outcomes.push(job.calls.map(([entrypoint, input]) => outcome(policy, entrypoint, input)));
  }
  console.log(JSON.stringify(outcomes));
})();
