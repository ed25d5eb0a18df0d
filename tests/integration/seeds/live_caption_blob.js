// Browser example
const arrayBuffer = await audioBlob.arrayBuffer();
websocket.send(arrayBuffer);
