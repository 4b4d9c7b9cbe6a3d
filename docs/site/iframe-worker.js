// Search works in a Worker, and browsers start none from a file: there, an invisible frame stands for it.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.onmessage = null
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      // What a worker has and a window has otherwise: answers go to the page, further scripts are loaded one by one.
      this.frame.srcdoc = `<!doctype html><base href="${location.href}"><body><script>
        postMessage = message => parent.postMessage(message, "*")
        importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise(loaded => {
          const script = document.createElement("script")
          script.src = url
          script.onload = loaded
          document.body.append(script)
        })), Promise.resolve())
      </script><script src="${new URL(url, location.href)}"></script>`
      this.frame.onload = () => {
        this.waiting.forEach(message => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data: message})))
        this.waiting = null
      }
      window.addEventListener("message", event => {
        if (event.source !== this.frame.contentWindow) return
        const answer = new MessageEvent("message", {data: event.data})
        this.dispatchEvent(answer)
        if (this.onmessage) this.onmessage(answer)
      })
      document.body.append(this.frame)
    }
    postMessage(message) {
      if (this.waiting) this.waiting.push(message)
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", {data: message}))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
