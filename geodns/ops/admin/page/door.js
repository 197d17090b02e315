// Owns asking the API, and the token for it; refuses to know what is asked.

const TOKEN = "geodns-token";
const PATIENCE = 8000;  // ms until a request that says nothing is given up

/** The door does not answer. */
export class Gone extends Error {}
/** The door wants a token, or another one. */
export class TokenWanted extends Error {}
/** The door says no; `remedy` is what to do. */
export class Refused extends Error {
  constructor(error, remedy) {
    super(error);
    this.remedy = remedy;
  }
}

/** Keep the token for this tab; only this tab can read it, and only until it is closed. */
export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

/** One GET; the answer as JSON, or as text where it is something else. Raises Gone, TokenWanted, Refused. */
export async function ask(path, parameters = {}) {
  const url = new URL(path, document.baseURI);  // relative: a proxy may have put the page below a path of its own
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response, text;
  try {
    response = await fetch(url, { headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(PATIENCE) });
    text = await response.text();
  } catch (error) {
    throw new Gone(error.name === "TimeoutError" ? `no answer within ${PATIENCE / 1000} s` : "no connection");
  }
  if (response.status === 401) throw new TokenWanted(token ? "That is not the token." : "");
  const told = response.headers.get("content-type")?.startsWith("application/json") ? parsed(text) : text;
  if (!response.ok) throw new Refused(told.error ?? `${response.status} ${response.statusText}`, told.remedy ?? "");
  return told;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Gone("an answer that is cut short");
  }
}
