# Open the interactive demo
open http://localhost:8000/static/index.html

# Or use the minimal example
open http://localhost:8000/examples/simple-client.html
