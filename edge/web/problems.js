/** What went wrong, for somebody who only wanted to talk: a title, and what to do about it. */

const BY_CODE = {
  unsupported: (error) => ["This browser cannot make the call", `${sentence(error.message)} A current Chrome or Edge has all that is needed.`],
  unauthorized: (error) => ["A token is needed", `Open this page with the token in its address: …/#token=YOUR_TOKEN. The node said: ${error.message}`],
  refused: (error) => ["The node takes no call now", `${sentence(error.message)} Try again in a moment.`],
  unreachable: (error) => ["The edge cannot be reached", `${sentence(error.message)} Is the node up, and does the browser trust its certificate?`],
};
const BY_NAME = {
  NotAllowedError: () => ["The microphone is not allowed", "Allow it by the symbol left of the page's address, then call again."],
  NotFoundError: () => ["There is no microphone", "Plug one in, or choose one in the settings of your system, then call again."],
  NotReadableError: () => ["The microphone is taken", "Another program holds it. Close that, then call again."],
};
const INSECURE = [
  "This page was not loaded securely",
  "Browsers give the microphone to pages from https:// or localhost only. Open it by one of those.",
];

/** `[title, advice]`. */
export function explain(error) {
  if (!globalThis.isSecureContext) return INSECURE;
  const known = BY_CODE[error.code] ?? BY_NAME[error.name];
  return known ? known(error) : ["The call failed", sentence(error.message)];
}

function sentence(text) {
  const trimmed = text.trim().replace(/\.$/, "");
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}.`;
}
