// Sends what stdin asks for (see ../asked.py) in the way that the first argument names; prints status and body.
import { createReadStream, openAsBlob, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import axios from "axios";
import Package from "form-data";
import got from "got";

const asked = JSON.parse(await text(process.stdin));
const headers = { cookie: asked.cookie };
const all = { ...asked.fields, ...asked.objects };
const [file] = asked.files;
const options = { headers, validateStatus: () => true };

async function byFetch(body, more = {}) {
  const answer = await fetch(asked.url, { method: "POST", headers: { ...headers, ...more.headers }, body, ...more.options });
  return { status: answer.status, body: await answer.json() };
}

async function byAxios(sent) {
  const answer = await sent;
  return { status: answer.status, body: answer.data };
}

function formOf(Form, values) {
  const form = new Form();
  for (const [name, value] of Object.entries(values)) form.append(name, value);
  return form;
}

const ways = {
  async "fetch: a Blob without a name"() {
    const form = formOf(FormData, asked.fields);
    form.append(file.field, new Blob([readFileSync(file.path)], { type: file.type }));
    return byFetch(form);
  },
  async "fetch: a Blob without name and type"() {
    const form = formOf(FormData, asked.fields);
    form.append(file.field, new Blob([readFileSync(file.path)]));
    return byFetch(form);
  },
  async "fetch: a File"() {
    const form = formOf(FormData, asked.fields);
    form.append(file.field, new File([readFileSync(file.path)], file.name, { type: file.type }));
    return byFetch(form);
  },
  async "fetch: each field a Blob"() {
    const form = new FormData();
    for (const [name, value] of Object.entries(asked.fields)) form.append(name, new Blob([value], { type: "text/plain" }));
    for (const [name, value] of Object.entries(asked.objects)) {
      form.append(name, new Blob([JSON.stringify(value)], { type: "application/json" }));
    }
    return byFetch(form);
  },
  async "fetch: an object as it is"() {
    return byFetch(formOf(FormData, all)); // "[object Object]"
  },
  async "fetch: a stream whose length nobody knows"() {
    const whole = new Request(asked.url, { method: "POST", body: formOf(FormData, { ...asked.fields, [file.field]: await openAsBlob(file.path) }) });
    return byFetch(whole.body, { headers: { "content-type": whole.headers.get("content-type") }, options: { duplex: "half" } });
  },
  "axios: dots": () => byAxios(axios.postForm(asked.url, all, { ...options, formSerializer: { dots: true } })),
  "axios: a Buffer": () => byAxios(axios.postForm(asked.url, { ...all, [file.field]: readFileSync(file.path) }, options)),
  "axios: two files": () => byAxios(axios.postForm(asked.url, { ...all, [file.field]: [createReadStream(file.path), createReadStream(file.path)] }, options)),
  "axios: a list of recipients": () => byAxios(axios.postForm(asked.url, { ...all, phoneId: [all.phoneId] }, options)),
  async "axios: the standard's form"() {
    const form = formOf(FormData, asked.fields);
    form.append(file.field, new Blob([readFileSync(file.path)], { type: file.type }), file.name);
    return byAxios(axios.post(asked.url, form, options));
  },
  "axios: JSON as a field": () => byAxios(axios.postForm(asked.url, { ...asked.fields, ...Object.fromEntries(Object.entries(asked.objects).map(([name, value]) => [`${name}{}`, value])) }, options)),
  async "got: a form of form-data, in chunks"() {
    const form = formOf(Package, asked.fields);
    form.append(file.field, createReadStream(file.path), { filename: file.name, contentType: file.type });
    const answer = await got.post(asked.url, { headers: { ...headers, ...form.getHeaders() }, body: form, throwHttpErrors: false, retry: { limit: 0 } });
    return { status: answer.statusCode, body: JSON.parse(answer.body) };
  },
};

console.log(JSON.stringify(await ways[process.argv[2]]()));
