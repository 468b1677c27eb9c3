// Calls over /rpc. The login's cookie goes with them; nothing else is needed.

let last = 0;

/** A call that failed: `kind` is stable, the message is for people. */
export class RpcError extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

/** Calls a method with parameters by name. */
export async function call(method, params = {}) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: ++last, method, params });
  let response;
  try {
    response = await fetch("/rpc", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  } catch {
    throw new RpcError("network", "btd does not answer. Is it running?");
  }
  if (response.status === 401) {
    throw new RpcError("denied", "You are not logged in any more. Open the address that btd printed when it started.");
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new RpcError("internal", `btd answered with status ${response.status}.`);
  }
  if (answer.error) throw new RpcError(answer.error.data?.kind ?? "internal", answer.error.message);
  return answer.result;
}
