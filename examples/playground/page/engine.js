// The engine and the models in WebAssembly: a request in JSON, an answer in JSON.

/** Loads the module and gives a function that answers a request. */
export async function load(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  const { instance } = await WebAssembly.instantiate(await response.arrayBuffer(), {});
  const { memory, request, answer, answer_at: answerAt } = instance.exports;
  return (question) => {
    const bytes = new TextEncoder().encode(JSON.stringify(question));
    const place = request(bytes.length);
    new Uint8Array(memory.buffer, place, bytes.length).set(bytes);
    const length = answer();
    const text = new TextDecoder().decode(new Uint8Array(memory.buffer, answerAt(), length));
    const reply = JSON.parse(text);
    if (reply.error) throw new Error(reply.error);
    return { reply, text };
  };
}
