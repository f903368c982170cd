// The page of the simulated phones. It holds no state of its own: what it shows it has read from the HTTP interface,
// and the stream of events tells it what to read again or to add.

const element = (id) => document.getElementById(id);
const faultKinds = {
  reject: "refuse a message (code)", failure: "refuse a login (code)", stream_error: "stream error (code)",
  drop: "cut connections (milliseconds: stay away)", no_ack: "deliver without acknowledging",
  no_peer_ack: "deliver what is asked of the own phone without acknowledging",
  slow_ack: "acknowledge late (milliseconds)", unlink: "unlink the companions", garble: "damage what arrives",
  late_receipts: "receipts come late (milliseconds)", repeat: "deliver twice", no_pong: "leave pings unanswered",
};
const shownPhones = 200;
let phones = [], groups = [], messages = [], selected = null, chat = null;
let changes = 0; // of what `messages` should hold, so far

async function call(method, path, body) {
  const options = {method};
  if (body instanceof Blob) options.body = body;
  else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = {"Content-Type": "application/json"};
  }
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

let toastTimer;
function toast(text) {
  element("toast").textContent = text;
  element("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { element("toast").hidden = true; }, 6000);
}

// handle runs an action of a form or a button: disabled while it runs, with its error shown.
function handle(target, kind, action) {
  target.addEventListener(kind, async (event) => {
    if (kind === "submit") event.preventDefault();
    const button = target.tagName === "FORM" ? target.querySelector("button") : target;
    button.disabled = true;
    try { await action(event); } catch (error) { toast(error.message); } finally { button.disabled = false; }
  });
}

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const nameOf = (id) => groups.find((group) => group.id === id)?.name ?? "+" + id;
const partner = (message) => message.to.endsWith("@g.us") || message.from === selected ? message.to : message.from;

function showPhones() {
  element("phone-list").replaceChildren(...phones.slice(0, shownPhones).map((phone) => {
    const online = phone.companions.filter((companion) => companion.online).length;
    const note = phone.companions.length ? `${online} of ${phone.companions.length} online` : count(phone.messages, "message");
    const button = make("button", {type: "button", onclick: () => open(phone.number)}, "+" + phone.number, make("small", {}, note));
    button.setAttribute("aria-current", phone.number === selected);
    return make("li", {}, button);
  }));
  if (phones.length > shownPhones) {
    element("phone-list").append(make("li", {}, make("small", {}, `and ${phones.length - shownPhones} more: open one by its number`)));
  }
  const phone = phones.find((candidate) => candidate.number === selected);
  if (!phone) return;
  element("phone-title").textContent = `+${phone.number} · ${phone.name}`;
  element("receipts").value = phone.receipts;
  element("registered").checked = phone.registered;
  element("companions").replaceChildren(...phone.companions.map((companion) => {
    const button = make("button", {type: "button", className: "quiet"}, "Unlink");
    handle(button, "click", () => call("DELETE", `/phones/${selected}/companions/${companion.device}`));
    return make("li", {}, `Device ${companion.device} · ${companion.platform} · ${companion.online ? "online" : "offline"}`,
      make("small", {}, companion.queued ? `${companion.queued} waiting` : ""), button);
  }));
}

function showChats() {
  const chats = new Map();
  for (const message of messages) chats.set(partner(message), message);
  if (!chats.has(chat)) chat = [...chats.keys()].at(-1) ?? null;
  element("chat-list").replaceChildren(...[...chats.keys()].reverse().map((id) => {
    const button = make("button", {type: "button", onclick: () => { chat = id; element("to").value = id; showChats(); }}, nameOf(id));
    button.setAttribute("aria-current", id === chat);
    return make("li", {}, button);
  }));
  element("messages").replaceChildren(...messages.filter((message) => partner(message) === chat).map(showMessage));
  if (chat && !element("to").value) element("to").value = chat;
}

function showMessage(message) {
  const mine = message.from === selected;
  const item = make("li", {className: mine ? "mine" : ""});
  if (message.to.endsWith("@g.us") && !mine) item.append(make("small", {}, nameOf(message.from)));
  if (message.media) {
    const {mimetype, size, error, fileName} = message.media;
    if (mimetype.startsWith("image/") && !error) {
      item.append(make("img", {alt: "", loading: "lazy", src: `/phones/${selected}/messages/${message.id}/media?from=${message.from}`}));
    }
    item.append(make("small", {}, error ? `${mimetype}: ${error}` : `${fileName ?? mimetype}, ${size.toLocaleString()} bytes`));
  }
  item.append(message.deleted ? make("span", {className: "gone"}, "deleted") : message.text);
  const notes = [new Date(message.at).toLocaleTimeString()];
  if (message.receipt) notes.push(message.receipt);
  if (message.edited) notes.push("edited");
  if (message.disappearsAfterSeconds) notes.push(`disappears after ${message.disappearsAfterSeconds} s`);
  if (message.deliveries > 1) notes.push(`arrived ${message.deliveries} times, shown once`);
  item.append(make("small", {}, notes.join(" · ")));
  return item;
}

function showGroups() {
  element("groups").replaceChildren(...groups.map((group) =>
    make("li", {}, `${group.name} (${group.members.length})`, make("small", {}, group.id))));
  element("known").replaceChildren(...groups.map((group) => make("option", {value: group.id}, group.name)),
    ...phones.slice(0, 100).map((phone) => make("option", {value: phone.number})));
}

async function showFaults() {
  const faults = await call("GET", "/faults");
  element("fault-list").replaceChildren(...faults.map((fault) =>
    make("li", {}, `${fault.kind} ${fault.code ?? ""}`, make("small", {}, `${fault.phone || "all"}, ${fault.count} left`))));
}

async function showStats() {
  const stats = await call("GET", "/stats");
  element("stats").replaceChildren(...Object.entries(stats).flatMap(([name, value]) =>
    [make("dt", {}, name.replace(/[A-Z]/g, (letter) => " " + letter.toLowerCase())), make("dd", {}, value.toLocaleString())]));
}

// readMessages reads again what changed while the answer was on its way: that answer may lack it.
async function readMessages() {
  let before;
  do {
    before = changes;
    messages = await call("GET", `/phones/${selected}/messages`);
  } while (before !== changes);
}

async function refresh() {
  if (selected) await readMessages(); // first: a phone is listed once it was named
  [phones, groups] = await Promise.all([call("GET", "/phones"), call("GET", "/groups")]);
  showPhones(); showChats(); showGroups();
  await Promise.all([showStats(), showFaults()]);
}

// soon runs a task once for all the events of a while.
function soon(milliseconds, task) {
  let timer = null;
  return () => { timer ??= setTimeout(() => { timer = null; task().catch((error) => toast(error.message)); }, milliseconds); };
}
const refreshSoon = soon(250, refresh);
const figuresSoon = soon(1500, async () => {
  phones = await call("GET", "/phones");
  showPhones();
  await Promise.all([showStats(), showFaults()]);
});

async function open(number) {
  selected = number;
  changes++;
  chat = null;
  element("to").value = "";
  location.hash = number;
  element("phone").hidden = false;
  element("empty").hidden = true;
  await refresh();
  element("linking").open = messages.length === 0;
}

function watch() {
  const events = new EventSource("/events");
  events.onopen = () => { element("live").textContent = "live"; element("live").className = "on"; refreshSoon(); };
  events.onerror = () => { element("live").textContent = "not connected"; element("live").className = ""; };
  events.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    figuresSoon();
    if (message.phone !== selected) return;
    changes++;
    const index = messages.findIndex((known) => known.id === message.id && known.from === message.from && known.to === message.to);
    if (index < 0) messages.push(message); else messages[index] = message;
    showChats();
  });
  for (const kind of ["phone", "companion", "group", "fault"]) events.addEventListener(kind, refreshSoon);
  events.addEventListener("typing", (event) => {
    const {from, to, typing} = JSON.parse(event.data);
    if (to === selected && typing) toast(`+${from} is typing…`);
  });
}

async function scan(text) {
  const linked = await call("POST", `/phones/${selected}/scan`, {qr: text});
  element("qr").value = "";
  toast(`Linked: device ${linked.device} of +${linked.number}`);
}

// scanPicture draws a picture of any kind the browser knows onto white, and has the sandbox read the code in it.
async function scanPicture(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  await image.decode();
  const scale = Math.min(1, 2500 / Math.max(image.naturalWidth, image.naturalHeight, 1));
  const canvas = make("canvas", {width: (image.naturalWidth || 600) * scale, height: (image.naturalHeight || 600) * scale});
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const {text} = await call("POST", "/qr/decode", png);
  element("qr").value = text;
  await scan(text);
}

handle(element("add"), "submit", () => open(element("number").value.replace("+", "")));
handle(element("receipts"), "change", () => call("PATCH", `/phones/${selected}`, {receipts: element("receipts").value}));
handle(element("registered"), "change", () => call("PATCH", `/phones/${selected}`, {registered: element("registered").checked}));
handle(element("scan"), "submit", () => scan(element("qr").value));
handle(element("picture"), "change", async () => {
  const [file] = element("picture").files;
  element("picture").value = "";
  if (file) await scanPicture(file);
});
element("qr").addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((candidate) => candidate.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  scanPicture(file).catch((error) => toast(error.message));
});
handle(element("paircode"), "submit", async () => {
  const linked = await call("POST", `/phones/${selected}/paircode`, {code: element("code").value});
  element("code").value = "";
  toast(`Linked: device ${linked.device} of +${linked.number}`);
});
handle(element("reply"), "submit", async () => {
  const to = element("to").value.replace("+", "");
  await call("POST", `/phones/${selected}/messages`, {to, text: element("text").value});
  element("text").value = "";
  chat = to;
  showChats();
});
handle(element("group"), "submit", async () => {
  const participants = element("group-members").value.split(/[\s,]+/).filter(Boolean);
  await call("POST", "/groups", {name: element("group-name").value, owner: element("group-owner").value, participants});
  element("group").reset();
});
handle(element("fault"), "submit", async () => {
  const fault = {kind: element("fault-kind").value};
  if (element("fault-phone").value) fault.phone = element("fault-phone").value.replace("+", "");
  for (const name of ["code", "milliseconds", "count"]) {
    if (element(`fault-${name}`).value) fault[name] = Number(element(`fault-${name}`).value);
  }
  await call("POST", "/faults", fault);
});
handle(element("fault-clear"), "click", () => call("DELETE", "/faults"));
element("fault-kind").append(...Object.entries(faultKinds).map(([value, text]) => make("option", {value}, text)));

const asked = location.hash.slice(1);
if (/^[1-9][0-9]{6,14}$/.test(asked)) await open(asked).catch((error) => toast(error.message));
watch();
