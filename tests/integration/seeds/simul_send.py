import numpy as np
import io

# Your audio chunk (16kHz, mono, float32)
audio_chunk = np.array([...], dtype=np.float32)

# Serialize and send
buf = io.BytesIO()
np.save(buf, audio_chunk, allow_pickle=False)
websocket.send(buf.getvalue())
