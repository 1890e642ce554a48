"use strict";

// request makes what fetch takes of an operation, of the values that were typed
// for its parameters, by their places and names, and of a key. It throws a
// sentence for people.
function request(operation, values, body, key) {
  let path = operation.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { place, name, value } of values) {
    if (place === "path") {
      if (value === "") throw new Error(name + " is needed: it is part of the path.");
      path = path.replace("{" + name + "}", encodeURIComponent(value));
    } else if (value !== "" && place === "query") {
      query.append(name, value);
    } else if (value !== "") {
      headers[name] = value;
    }
  }
  if (key !== "") headers.Authorization = "Bearer " + key;
  const init = { method: operation.method, headers, credentials: "omit", redirect: "manual" };
  if (body.trim() !== "") {
    try {
      JSON.parse(body);
    } catch (e) {
      throw new Error("The body is not JSON: " + e.message);
    }
    headers["Content-Type"] = "application/json";
    init.body = body;
  }
  return { url: path + (query.size > 0 ? "?" + query : ""), init };
}

const mostShown = 200_000; // characters of an answer

// shown is an answer as text: its status, its headers, its body.
function shown(status, headers, text) {
  const lines = [String(status), ...headers.map(([name, value]) => name + ": " + value), ""];
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // not JSON: as it is
  }
  if (text.length > mostShown) text = text.slice(0, mostShown) + "\n… (cut here)";
  return lines.join("\n") + "\n" + text;
}

// start brings the forms to life, which are hidden without a script.
function start(document) {
  const key = document.getElementById("key");
  key.hidden = false;
  key.addEventListener("submit", (e) => e.preventDefault());
  for (const form of document.querySelectorAll("form.try")) {
    form.hidden = false;
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      send(form, key.elements.key.value.trim());
    });
  }
}

async function send(form, key) {
  const out = form.querySelector("output");
  const button = form.querySelector("button");
  const operation = { method: form.dataset.verb, path: form.dataset.path };
  const values = [...form.querySelectorAll("input")].map((i) => ({ place: i.dataset.place, name: i.name, value: i.value.trim() }));
  const area = form.querySelector("textarea");
  let call;
  try {
    call = request(operation, values, area === null ? "" : area.value, key);
  } catch (e) {
    out.textContent = e.message;
    return;
  }
  if (operation.method === "DELETE" && !confirm(operation.method + " " + call.url + "?")) return;
  button.disabled = true;
  out.textContent = "…";
  try {
    const answer = await fetch(call.url, call.init);
    out.textContent = answer.type === "opaqueredirect" ? "A redirect to where the content is." : shown(answer.status, [...answer.headers], await answer.text());
  } catch (e) {
    out.textContent = "No answer: " + e.message;
  } finally {
    button.disabled = false;
  }
}

if (typeof document !== "undefined") start(document);
