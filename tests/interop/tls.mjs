// tls.mjs FOLDER HOST PORT TRACKER_PORT: speaks TLS at HOST:PORT with the certificate in FOLDER (`cert.pem`, `key.pem`), and
// passes on every byte to the tracker at HOST:TRACKER_PORT and back. Says a line when it is `ready`, and of each
// handshake that fails.
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'node:tls'

const [folder, host, port, trackerPort] = process.argv.slice(2)
const [cert, key] = ['cert.pem', 'key.pem'].map(name => readFileSync(join(folder, name)))

const server = createServer({ cert, key }, client => {
  const tracker = connect(Number(trackerPort), host)
  client.on('error', () => tracker.destroy())
  tracker.on('error', () => client.destroy())
  client.pipe(tracker).pipe(client)
})
server.on('tlsClientError', error => console.log(`refused ${error.code}`))
server.on('error', error => { console.log(`error ${error.message}`); process.exit(1) })
server.listen(Number(port), host, () => console.log('ready'))
