/* Chunks of data: gzip as base64, in the page or in a script beside it, since browsers let no page fetch a file. */

const modelstitch = { receive(name, text) { arriving.get(name)(text); } };
const arriving = new Map();
const chunks = new Map();

/** The text of a chunk, unpacked once. */
function chunk(name) {
  if (!chunks.has(name)) chunks.set(name, packed(name).then(unpacked));
  return chunks.get(name);
}

function packed(name) {
  const within = document.getElementById(`chunk-${name}`);
  if (within) {
    const text = within.textContent;
    within.remove();
    return Promise.resolve(text);
  }
  return new Promise((resolve, reject) => {
    arriving.set(name, resolve);
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onerror = () => reject(new Error(`data/${name}.js is not beside this page: copy the folder data with it`));
    document.head.append(script);
  });
}

async function unpacked(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place += 1) bytes[place] = letters.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
