// The page of the chat: an ordinary socket.io-client, nothing of Roomspan's own.
"use strict";

const $ = (id) => document.getElementById(id);
const silence = 3000; // ms without a word of a node, after which it counts as not heard

const stored = sessionStorage.getItem("name");
const myName = stored || "Guest " + Math.floor(1000 + Math.random() * 9000);
sessionStorage.setItem("name", myName);
$("name").value = myName;

const auth = { name: myName };
const socket = io({ auth });
let node = ""; // this page's node
const heard = new Map(); // node → when it was heard last

function add(className, ...children) {
  const li = document.createElement("li");
  if (className) li.className = className;
  li.append(...children);
  const log = $("log");
  log.append(li);
  while (log.children.length > 500) log.firstChild.remove();
  log.scrollTop = log.scrollHeight;
}

function element(name, className, text) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.textContent = text;
  return e;
}

function tag(name) {
  const t = element("span", "tag", name);
  t.dataset.node = name;
  t.title = "node " + name;
  return t;
}

const system = (text, kind = "") => add("system " + kind, text);
const fail = (text) => { $("error").textContent = text; };

socket.on("connect", () => {
  const show = () => { $("transport").textContent = socket.io.engine.transport.name; };
  show();
  socket.io.engine.on("upgrade", show);
  fail("");
});
socket.on("disconnect", (reason) => {
  $("transport").textContent = "none";
  system("Disconnected: " + reason + ".", "bad");
});
socket.on("connect_error", (err) => fail(err.message));

socket.on("welcome", (w) => {
  node = w.node;
  $("node").textContent = "node " + w.node + ", " + w.addr;
  $("node").title = "id " + w.id;
  document.title = "Roomspan chat: node " + w.node;
  heard.set(node, Date.now());
  showRedis(w.redis);
  system("You are connected to node " + w.node + ".");
});

socket.on("said", (m) => {
  const time = element("time", "", new Date(m.time).toLocaleTimeString());
  time.dateTime = m.time;
  add("", tag(m.node), element("span", "who", m.from), time, element("div", "", m.text));
});

socket.on("node:alive", (name) => {
  heard.set(name, Date.now());
  showCluster();
});

// Who is online. A change asks for the list; so does the clock, since what
// happens on a node that is not heard is not heard either.
let asking = false;
async function showPeople() {
  if (asking || !socket.connected) return;
  asking = true;
  try {
    const { members, partial } = await socket.timeout(3000).emitWithAck("people");
    $("people").replaceChildren(...members.map((m) => {
      const li = document.createElement("li");
      li.append(tag(m.node), element("span", "", m.name));
      if (m.id === socket.id) li.append(element("span", "me", " (you)"));
      return li;
    }));
    $("partial").hidden = !partial;
  } catch {
    // the next round asks again
  } finally {
    asking = false;
  }
}
socket.on("people:changed", showPeople);
setInterval(showPeople, 3000);

// Whether the nodes hear each other, by what this page hears of them.
let apart = false;
function showCluster() {
  const others = [...heard.keys()].filter((n) => n !== node);
  const silent = others.filter((n) => Date.now() - heard.get(n) > silence);
  const badge = $("cluster");
  if (others.length === 0) {
    badge.className = "badge";
    badge.textContent = "no other node yet";
    return;
  }
  if (silent.length > 0 !== apart) {
    apart = silent.length > 0;
    if (apart) system("Node " + silent.join(", ") + " is not heard any more. Messages stay on this node.", "bad");
    else system("The nodes hear each other again.", "good");
    showPeople();
  }
  badge.className = "badge " + (apart ? "bad" : "good");
  badge.textContent = apart ? "do not hear each other" : "hear each other";
}
setInterval(showCluster, 500);

function showRedis({ embedded, running }) {
  const button = $("redis");
  button.disabled = !embedded;
  button.dataset.running = running;
  button.textContent = running ? "Stop Redis" : "Start Redis";
  $("redis-note").textContent = !embedded
    ? "It is a Redis of yours, so it is not for this page to stop."
    : running
      ? "Stop it to see an outage: people on one node still talk to each other."
      : "It is stopped. What is said now stays on its node until Redis is back.";
}
socket.on("redis", (state) => {
  showRedis(state);
  system(state.running ? "Redis was started." : "Redis was stopped.", state.running ? "good" : "bad");
});

async function ask(event, value) {
  try {
    const answer = await socket.timeout(5000).emitWithAck(event, value);
    if (answer && answer.error) {
      fail(answer.error);
      return undefined;
    }
    fail("");
    return answer;
  } catch {
    fail("The server did not answer.");
    return undefined;
  }
}

$("redis").addEventListener("click", () => ask("redis:set", $("redis").dataset.running !== "true"));

$("say").addEventListener("submit", async (e) => {
  e.preventDefault();
  const text = $("text").value;
  if (await ask("say", text)) $("text").value = "";
});

$("rename").addEventListener("submit", async (e) => {
  e.preventDefault();
  const name = await ask("rename", $("name").value);
  if (name) {
    auth.name = name; // for the next reconnection
    sessionStorage.setItem("name", name);
    $("name").value = name;
  }
});
