// Sends what stdin asks for (see ../asked.py) with the client that the first argument names; prints status and body.
import { createReadStream, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";

const asked = JSON.parse(await text(process.stdin));
const headers = { cookie: asked.cookie };
const all = { ...asked.fields, ...asked.objects };
const texts = Object.entries({
  ...asked.fields,
  ...Object.fromEntries(Object.entries(asked.objects).map(([name, members]) => [name, JSON.stringify(members)])),
});

function standardForm() {
  const form = new FormData();
  for (const [name, value] of texts) form.append(name, value);
  for (const { field, path, name, type } of asked.files) {
    const blob = new Blob([readFileSync(path)], type === null ? {} : { type });
    name === null ? form.append(field, blob) : form.append(field, blob, name);
  }
  return form;
}

async function formOfTheSameName() {
  const { default: Form } = await import("form-data");
  const form = new Form();
  for (const [name, value] of texts) form.append(name, value);
  for (const { field, path, name, type } of asked.files) {
    form.append(field, createReadStream(path), { ...(name && { filename: name }), ...(type && { contentType: type }) });
  }
  return form;
}

const clients = {
  async fetch() {
    const body = { multipart: standardForm, urlencoded: () => new URLSearchParams(texts), json: () => JSON.stringify(all) };
    const type = asked.form === "json" ? { "content-type": "application/json" } : {};
    const answer = await fetch(asked.url, { method: "POST", headers: { ...headers, ...type }, body: body[asked.form]() });
    return { status: answer.status, body: await answer.json() };
  },

  // An object with files in it: axios gives members names with brackets.
  async axios() {
    const { default: axios } = await import("axios");
    const type = { multipart: "multipart/form-data", urlencoded: "application/x-www-form-urlencoded", json: "application/json" };
    const files = Object.fromEntries(asked.files.map((one) => [one.field, createReadStream(one.path)]));
    const answer = await axios.post(asked.url, { ...all, ...files }, {
      headers: { ...headers, "content-type": type[asked.form] },
      validateStatus: () => true,
    });
    return { status: answer.status, body: answer.data };
  },

  async got() {
    const { default: got } = await import("got");
    const body = { multipart: () => ({ body: standardForm() }), urlencoded: () => ({ form: Object.fromEntries(texts) }), json: () => ({ json: all }) };
    const answer = await got.post(asked.url, { headers, throwHttpErrors: false, retry: { limit: 0 }, ...body[asked.form]() });
    return { status: answer.statusCode, body: JSON.parse(answer.body) };
  },

  async "form-data"() {
    const form = await formOfTheSameName();
    const { hostname, port, pathname } = new URL(asked.url);
    const answer = await new Promise((resolve, reject) => {
      form.submit({ host: hostname, port, path: pathname, headers }, (error, got) => (error ? reject(error) : resolve(got)));
    });
    return { status: answer.statusCode, body: JSON.parse(await text(answer)) };
  },
};

console.log(JSON.stringify(await clients[process.argv[2]]()));
