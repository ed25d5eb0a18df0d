// Check microphone permissions
navigator.mediaDevices.getUserMedia({audio: true})
    .then(() => console.log('Mic access granted'))
    .catch(err => console.error('Mic access denied:', err));
