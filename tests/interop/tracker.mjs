// tracker.mjs FOLDER PORT HOST: bittorrent-tracker's server over HTTP and UDP. Says on its standard output, a line each,
// that it is `ready`, and what it is asked: `METHOD PATH`, then for an announce `EVENT PEER left=N`.
// (The package's own command also loads its WebRTC client, whose binary is not installed.)
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [folder, port, host] = process.argv.slice(2)
const module = join(folder, 'node_modules', 'bittorrent-tracker', 'server.js')
const { default: Server } = await import(pathToFileURL(module))

const server = new Server({ http: true, udp: true, ws: false, stats: false })
for (const event of ['start', 'update', 'complete', 'stop']) {
  server.on(event, (peer, params) => console.log(`${event} ${peer} left=${params.left}`))
}
server.on('warning', error => console.log(`warning ${error.message}`))
server.on('error', error => { console.log(`error ${error.message}`); process.exit(1) })
server.http.prependListener('request', request => console.log(`${request.method} ${request.url.split('?')[0]}`))
// Its own `listen` would open UDP of both families, each for everybody.
const [udp, other] = host.includes(':') ? [server.udp6, server.udp4] : [server.udp4, server.udp6]
other.close()
udp.bind(Number(port), host, () => server.http.listen(Number(port), host, () => console.log('ready')))
