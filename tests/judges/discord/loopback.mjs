// Preloaded with --import: TLS connections to Discord's hosts go to the port in FAKE_PORT on
// loopback. Names, certificates and the library stay as they are (NODE_EXTRA_CA_CERTS adds the CA).
import { syncBuiltinESMExports } from "node:module";
import tls from "node:tls";

const hosts = /(^|\.)discord\.(com|gg)$|^(cdn\.discordapp\.com|media\.discordapp\.net)$/;
const { connect } = tls;

tls.connect = (options, ...rest) => {
  const host = options.servername || options.hostname || options.host;
  if (!hosts.test(host)) throw new Error(`${host} is not one of Discord's hosts`);
  const here = { host: "127.0.0.1", port: Number(process.env.FAKE_PORT), servername: host };
  return connect({ ...options, ...here }, ...rest);
};
syncBuiltinESMExports();
