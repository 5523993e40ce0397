// Lets the peers import npm packages that are installed outside the repository.
//
// `install.sh DIR` copies this file to DIR, beside DIR/js/node_modules. Started as
// `node --import DIR/resolve.mjs PEER`, it looks up the packages that our own files name
// from DIR/js; what the packages import among themselves is left alone.
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const anchor = pathToFileURL(`${import.meta.dirname}/js/package.json`).href;
const isBare = (specifier) => !/^([./]|[a-z]+:)/.test(specifier);
const isInstalled = (parent) => parent === undefined || parent.includes('/node_modules/');

registerHooks({
  resolve(specifier, context, next) {
    const ours = isBare(specifier) && !isInstalled(context.parentURL);
    return next(specifier, ours ? { ...context, parentURL: anchor } : context);
  },
});
